//! How images lie in groups: plates, series, levels that are not there, drafts, and folders that hold several images.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(clippy::needless_pass_by_value, reason = "JSON that is written in the call is given away")]

mod folder;

use folder::{Folder, multiscales, v2, with};
use microtome_io::{ReadError, Reader, SceneKind};
use microtome_zarr::{ZarrReader, images_in, is_zarr};
use serde_json::{Value, json};

fn warnings(reader: &ZarrReader) -> String {
    reader.info().warnings.join("; ")
}

fn names(reader: &ZarrReader) -> Vec<&str> {
    reader.info().scenes.iter().map(|scene| scene.name.as_str()).collect()
}

fn flat(path: &str) -> Value {
    multiscales(json!(["y", "x"]), json!([{"path": path}]))
}

fn small() -> Value {
    v2(json!([2, 2]), json!([2, 2]))
}

#[test]
fn a_level_that_is_not_there_is_left_out_with_a_warning() {
    let datasets = json!([{"path": "0"}, {"path": "1"}, {"path": "2"}, {"path": "3"}]);
    let wide = with(v2(json!([1, 1]), json!([1, 1])), "dtype", json!("<u2"));
    let folder = Folder::new().json(".zattrs", &multiscales(json!(["y", "x"]), datasets));
    let folder = folder.json("0/.zarray", &v2(json!([8, 8]), json!([8, 8]))).json("2/.zarray", &small());
    let folder = folder.json("3/.zarray", &wide);
    let reader = folder.open().unwrap();
    let scene = &reader.info().scenes[0];
    let factors: Vec<f64> = scene.levels.iter().map(|level| level.downsample[4]).collect();
    assert_eq!((reader.info().scenes.len(), factors), (1, vec![1.0, 4.0]));
    let told = warnings(&reader);
    assert!(told.contains("metadata of 1") && told.contains("uint16 pixels where level 0 holds uint8"), "{told}");

    let folder = Folder::new().json(".zattrs", &multiscales(json!(["y", "x"]), json!([{"path": "0"}, {"path": "1"}])));
    let error = folder.json("1/.zarray", &small()).open().unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
}

#[test]
fn a_damaged_document_below_the_top_costs_its_own_scene_only() {
    let folder = Folder::new().json(".zgroup", &json!({"zarr_format": 2})).json("good/.zarray", &small());
    let folder = folder.put("bad/.zarray", "{\"zarr_format\": 2, ").put("tables/zarr.json", "{");
    let reader = folder.open().unwrap();
    let told = warnings(&reader);
    assert_eq!((names(&reader), told.matches("no valid JSON").count()), (vec!["good"], 2), "{told}");
    let error = Folder::new().put("bad/.zarray", "{").open().unwrap_err();
    assert!(error.to_string().contains("no valid JSON"), "{error}");
    let error = Folder::new().put(".zattrs", "{").json("good/.zarray", &small()).open().unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
}

#[test]
fn wells_and_fields_name_the_scenes_and_missing_ones_are_told() {
    let well = |fields: &[&str]| {
        let images: Vec<Value> = fields.iter().map(|path| json!({"path": path})).collect();
        json!({"well": {"images": images}})
    };
    let wells = json!([{"path": "B/2"}, {"path": "B/10"}, {"path": "C/1"}, {"path": "../.."}]);
    let mut folder = Folder::new().json(".zattrs", &json!({"plate": {"wells": wells}}));
    folder = folder.json("B/2/.zattrs", &well(&["0", "1"])).json("B/10/.zattrs", &well(&["0"]));
    for path in ["B/10/0", "B/2/0", "B/10/0/labels/cells"] {
        let mut group = flat("0");
        group["multiscales"][0]["name"] = json!("image");
        folder = folder.json(&format!("{path}/.zattrs"), &group).json(&format!("{path}/0/.zarray"), &small());
    }
    let reader = folder.open().unwrap();
    assert_eq!(names(&reader), ["B/2/0", "B/10/0", "image"]);
    assert_eq!(reader.info().scenes[2].kind, SceneKind::Label);
    assert_eq!(reader.info().missing_files, [folder.path().join("C/1"), folder.path().join("B/2/1")]);
    assert!(warnings(&reader).contains("names 2 fields or wells that are not there, as C/1"), "{}", warnings(&reader));
}

#[test]
fn series_take_names_and_sizes_from_the_xml_beside_them() {
    let xml = r#"<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
        <Image ID="Image:0" Name="overview"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="2" SizeY="2"
          SizeZ="1" SizeC="1" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.25" PhysicalSizeXUnit="µm"
          PhysicalSizeYUnit="µm"><Channel ID="Channel:0:0" Name="DAPI" Color="65535"/></Pixels></Image>
        <Image ID="Image:1" Name="detail"><Pixels ID="Pixels:1" DimensionOrder="XYZCT" Type="uint8" SizeX="9" SizeY="2"
          SizeZ="1" SizeC="1" SizeT="1"><Channel ID="Channel:1:0"/></Pixels></Image></OME>"#;
    let folder = Folder::new().json(".zattrs", &json!({"bioformats2raw.layout": 3})).put("OME/METADATA.ome.xml", xml);
    let mut folder = folder.json("OME/.zattrs", &json!({"series": ["10", "2"]}));
    for path in ["10", "2"] {
        folder = folder.json(&format!("{path}/.zattrs"), &flat("0")).json(&format!("{path}/0/.zarray"), &small());
    }
    let reader = folder.open().unwrap();
    // The second image of the XML has other extents than its series: it tells nothing.
    assert_eq!(names(&reader), ["2", "overview"]);
    let scene = &reader.info().scenes[1];
    assert_eq!((scene.pixel_size.x, scene.pixel_size.y), (Some(0.5), Some(0.25)));
    assert_eq!((scene.channels[0].name.as_str(), scene.channels[0].color.as_deref()), ("DAPI", Some("0000FF")));
    assert!(reader.info().ome_xml.as_deref().unwrap().contains("overview"));

    let broken = folder.put("OME/METADATA.ome.xml", "<OME").open().unwrap();
    assert!(warnings(&broken).contains("METADATA.ome.xml is not understood"), "{}", warnings(&broken));
}

#[test]
fn numbers_that_python_writes_and_json_has_not_do_not_matter() {
    let group = flat("0").to_string();
    let folder = Folder::new().put(".zattrs", group.replacen('{', r#"{"window": [NaN, -Infinity],"#, 1));
    let nan = with(with(small(), "dtype", json!("<f4")), "fill_value", json!("-"));
    let folder = folder.put("0/.zarray", nan.to_string().replace("\"-\"", "-Infinity"));
    let reader = folder.open().unwrap();
    assert_eq!(folder::whole(&reader, 0).unwrap(), f32::NEG_INFINITY.to_ne_bytes().repeat(4));
}

#[test]
fn drafts_with_systems_of_coordinates_are_understood() {
    let axes = json!([{"name": "y", "type": "space", "unit": "micrometer"}, {"name": "x", "type": "space"}]);
    let steps = json!([{"type": "scale", "scale": [0.5, 0.25]}, {"type": "translation", "translation": [3, 4]}]);
    let transformation = json!([{"type": "sequence", "input": "0", "output": "world", "transformations": steps}]);
    let multiscale = json!({"coordinateSystems": [{"name": "world", "axes": axes}],
                            "datasets": [{"path": "0", "coordinateTransformations": transformation}]});
    let group = json!({"zarr_format": 3, "node_type": "group",
                       "attributes": {"ome": {"version": "0.6.dev1", "multiscales": [multiscale]}}});
    let reader = Folder::new().json("zarr.json", &group).json("0/.zarray", &small()).open().unwrap();
    let size = &reader.info().scenes[0].pixel_size;
    assert_eq!((size.y, size.x, size.unit.as_deref()), (Some(0.5), Some(0.25), Some("micrometer")));
    assert_eq!(reader.info().format, "OME-Zarr 0.6.dev1");
}

#[test]
fn images_side_by_side_are_no_image_and_a_group_without_a_document_is() {
    let array = small();
    let side = Folder::new().json("a.zarr/.zarray", &array).json("b.zarr/.zarray", &array);
    assert!(!is_zarr(&side.path()));
    assert_eq!(images_in(&side.path()), ["a.zarr", "b.zarr"]);
    let group = Folder::new().json("a/.zarray", &array).json("b/.zarray", &array);
    assert!(is_zarr(&group.path()) && images_in(&group.path()).is_empty());
    let marked = side.json(".zgroup", &json!({"zarr_format": 2}));
    assert!(is_zarr(&marked.path()) && images_in(&marked.path()).is_empty());
}

#[test]
fn consolidated_metadata_of_any_size_cost_nothing() {
    let copies: serde_json::Map<String, Value> = (0..20_000).map(|n| (format!("a/{n}"), small())).collect();
    let group = json!({"zarr_format": 3, "node_type": "group",
                       "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": copies}});
    let reader = Folder::new().json("zarr.json", &group).json("0/.zarray", &small()).open().unwrap();
    assert_eq!(reader.info().scenes.len(), 1);
}
