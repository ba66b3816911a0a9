import java.security.MessageDigest;
import loci.common.DebugTools;
import loci.common.services.ServiceFactory;
import loci.formats.FormatTools;
import loci.formats.ImageReader;
import loci.formats.meta.IMetadata;
import loci.formats.services.OMEXMLService;

/**
 * What Bio-Formats makes of images: one line of JSON for each path given, of its first image or the one behind a `#`. Pixels are told by the sha256 of each level, C order
 * T C Z Y X S, little-endian, as `microtome checksum` has it.
 */
public class Judge {
    public static void main(String[] paths) throws Exception {
        DebugTools.setRootLevel("ERROR");
        for (String path : paths) {
            System.out.println(described(path));
        }
    }

    static String described(String argument) throws Exception {
        int at = argument.lastIndexOf('#');
        String path = at < 0 ? argument : argument.substring(0, at);
        int image = at < 0 ? 0 : Integer.parseInt(argument.substring(at + 1));
        OMEXMLService service = new ServiceFactory().getInstance(OMEXMLService.class);
        IMetadata meta = service.createOMEXMLMetadata();
        StringBuilder levels = new StringBuilder();
        StringBuilder names = new StringBuilder();
        String format, type;
        try (ImageReader reader = new ImageReader()) {
            reader.setFlattenedResolutions(false);
            reader.setMetadataStore(meta);
            reader.setId(path);
            reader.setSeries(image);
            format = reader.getFormat();
            type = FormatTools.getPixelTypeString(reader.getPixelType());
            for (int level = 0; level < reader.getResolutionCount(); level++) {
                reader.setResolution(level);
                MessageDigest digest = MessageDigest.getInstance("SHA-256");
                int samples = reader.getRGBChannelCount();
                for (int t = 0; t < reader.getSizeT(); t++)
                    for (int c = 0; c < reader.getEffectiveSizeC(); c++)
                        for (int z = 0; z < reader.getSizeZ(); z++)
                            digest.update(plane(reader, reader.getIndex(z, c, t), samples));
                StringBuilder hex = new StringBuilder();
                for (byte b : digest.digest()) hex.append(String.format("%02x", b));
                levels.append(level > 0 ? "," : "").append(String.format(
                    "{\"shape\":[%d,%d,%d,%d,%d,%d],\"sha256\":\"%s\"}", reader.getSizeT(), reader.getEffectiveSizeC(),
                    reader.getSizeZ(), reader.getSizeY(), reader.getSizeX(), samples, hex));
            }
        }
        for (int c = 0; c < meta.getChannelCount(image); c++) {
            names.append(c > 0 ? "," : "").append("\"").append(meta.getChannelName(image, c)).append("\"");
        }
        String name = meta.getImageName(image);
        Object x = meta.getPixelsPhysicalSizeX(image);
        String size = x == null ? "null" : "\"" + meta.getPixelsPhysicalSizeX(image).value() + " "
            + meta.getPixelsPhysicalSizeX(image).unit().getSymbol() + "\"";
        return String.format(
            "{\"format\":\"%s\",\"name\":\"%s\",\"dtype\":\"%s\",\"levels\":[%s],\"channels\":[%s],\"x\":%s}", format, name,
            type, levels, names, size);
    }

    /** A plane as little-endian values with the samples of a pixel together, whatever order they are given in. */
    static byte[] plane(ImageReader reader, int index, int samples) throws Exception {
        byte[] bytes = reader.openBytes(index);
        int size = FormatTools.getBytesPerPixel(reader.getPixelType());
        if (!reader.isLittleEndian()) {
            for (int at = 0; at < bytes.length; at += size)
                for (int n = 0; n < size / 2; n++) {
                    byte b = bytes[at + n];
                    bytes[at + n] = bytes[at + size - 1 - n];
                    bytes[at + size - 1 - n] = b;
                }
        }
        if (samples == 1 || reader.isInterleaved()) return bytes;
        byte[] out = new byte[bytes.length];
        int pixels = bytes.length / samples / size;
        for (int s = 0; s < samples; s++)
            for (int n = 0; n < pixels; n++)
                System.arraycopy(bytes, (s * pixels + n) * size, out, (n * samples + s) * size, size);
        return out;
    }
}
