//! Summaries over a plan are those of its pixels in memory, however they are run; operations that ask for one get it.

mod cases;

use std::sync::Arc;

use cases::{build, simple_case, sink};
use microtome::{
    Compute, Ends, Estimate, Fusing, GraphError, Percentiles, PixelType, Plan, Rescale, RunError, RunOptions, Stage,
    Summary, summarise,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn options(threads: usize, window: Option<u64>) -> RunOptions {
    RunOptions { threads, window, memory: 1 << 30, ..RunOptions::default() }
}

fn percentiles() -> Arc<dyn Summary> {
    Arc::new(Percentiles::new(vec![0.0, 1.0, 50.0, 99.5]).unwrap())
}

#[test]
fn percentiles_of_a_plan_are_those_of_its_pixels() {
    runner(200)
        .run(&(simple_case(), 1u64..5), |(case, window)| {
            let array = build(&case);
            let pixels = array.compute(&options(1, None)).unwrap();
            let expected = summarise(percentiles(), pixels.as_ref()).unwrap();
            for (threads, window) in [(1, None), (3, Some(window)), (7, Some(1))] {
                let (answer, report) = Plan::summarise(&array, percentiles(), &options(threads, window)).unwrap();
                prop_assert_eq!(&answer, &expected, "{} threads", threads);
                prop_assert!(report.peak_memory <= report.projected_peak);
                prop_assert_eq!(report.tasks_run, report.tasks_planned);
                let once = Estimate::of(&Stage::summarising(&array, &percentiles())).bytes_read;
                let (passes, planned) = (report.bytes_read / once, percentiles().passes(array.dtype()));
                prop_assert!(planned.contains(&passes), "{} passes over {}, not {:?}", passes, array.dtype(), planned);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_contrast_between_percentiles_is_the_one_between_their_values() {
    runner(100)
        .run(&(simple_case(), 0.0f64..40.0, 60.0f64..100.0), |(case, low, high)| {
            let array = build(&case);
            let rescale = |from| Rescale { from, to: Some((0.0, 255.0)), dtype: Some(PixelType::U8) };
            let asking = array.apply(Arc::new(rescale(Ends::Percentiles { percentiles: (low, high) }))).unwrap();
            let wanted: Arc<dyn Summary> = Arc::new(Percentiles::new(vec![low, high]).unwrap());
            let (answer, _) = Plan::summarise(&array, wanted, &options(1, None)).unwrap();
            let value = |n: usize| answer["values"][n].as_f64().unwrap();
            if value(0) >= value(1) {
                let error = Plan::compute(&asking, Fusing::Full).collect(&options(1, None)).unwrap_err();
                prop_assert!(matches!(error, RunError::Graph(GraphError::Op(_))), "{}", error);
                return Ok(());
            }
            let given = array.apply(Arc::new(rescale(Ends::Values(value(0), value(1))))).unwrap();
            let expected = given.compute(&options(1, None)).unwrap();
            let plan = Plan::compute(&asking, Fusing::Full);
            let (found, report) = plan.collect(&options(2, None)).unwrap();
            let estimate = plan.estimate_for(&options(2, None)).unwrap();
            prop_assert_eq!(estimate.summary_passes.start(), estimate.summary_passes.end(), "the passes are known");
            prop_assert_eq!((report.tasks_run, report.bytes_read), (estimate.fused, estimate.bytes_read));
            prop_assert_eq!(plan.admit(&options(2, None)).unwrap().projected_peak, report.projected_peak);
            prop_assert_eq!(found.as_ref().bytes(), expected.as_ref().bytes());
            if let Some(sink) = sink(&asking, case.unit) {
                Plan::store(&asking, &sink).run(&options(2, None)).unwrap();
                let stored = sink.into_pixels();
                prop_assert_eq!(stored.as_ref().bytes(), expected.as_ref().bytes());
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_passes_of_two_contrasts_are_estimated() {
    let image = |dtype| cases::Case {
        shape: [1, 2, 5, 40, 50, 1],
        dtype,
        select: None,
        tile: [1, 1, 1, 8, 64, 1],
        chunk: [1, 1, 2, 40, 50, 1],
        steps: Vec::new(),
        unit: None,
    };
    for (dtype, passes) in [(PixelType::U16, 1), (PixelType::F32, 2), (PixelType::U64, 4)] {
        let to_f32 = Rescale {
            from: Ends::Percentiles { percentiles: (1.0, 99.0) },
            to: Some((0.0, 1.0)),
            dtype: Some(PixelType::F32),
        };
        let again = Rescale { from: Ends::Percentiles { percentiles: (25.0, 75.0) }, ..to_f32.clone() };
        let twice = build(&image(dtype)).apply(Arc::new(to_f32)).unwrap().apply(Arc::new(again)).unwrap();
        let plan = Plan::compute(&twice, Fusing::Full);
        let estimate = plan.estimate_for(&options(2, None)).unwrap();
        // Those of the image, two over the float pixels made of it, and the result.
        assert_eq!(estimate.summary_passes, passes + 2..=passes + 2, "{dtype}");
        let (_, report) = plan.collect(&options(2, None)).unwrap();
        assert_eq!((report.tasks_run, report.bytes_read), (estimate.fused, estimate.bytes_read), "{dtype}");
        assert_eq!(report.bytes_read, (passes + 3) * 10 * 2000 * dtype.size() as u64, "{dtype}");
    }
}

#[test]
fn an_image_of_one_value_has_no_contrast_and_says_so() {
    let case = cases::Case {
        shape: [1, 1, 2, 3, 4, 1],
        dtype: PixelType::F32,
        select: None,
        tile: [1; 6],
        chunk: [1, 1, 1, 3, 4, 1],
        steps: Vec::new(),
        unit: None,
    };
    let zero = Rescale { from: Ends::Values(0.0, 1.0), to: Some((1.0, 1.0)), dtype: None };
    let flat = build(&case).apply(Arc::new(zero)).unwrap();
    let contrast = Rescale { from: Ends::Percentiles { percentiles: (1.0, 99.0) }, to: Some((0.0, 1.0)), dtype: None };
    let error = flat.apply(Arc::new(contrast)).unwrap().compute(&options(1, None)).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("rescale: ") && text.contains("percentiles"), "{text}");
}
