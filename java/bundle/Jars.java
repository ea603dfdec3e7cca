import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * Packs jars for a bundle: {@code java Jars.java LIB NATIVE JAR...} writes them to the folder LIB without natives;
 * those that are loaded go to the folder NATIVE. {@code java Jars.java --folder FOLDER JAR} packs classes. Entries are
 * sorted, of one time and not compressed, which is left to the archive that the bundle becomes.
 */
final class Jars {
    private static final String PLATFORM = "linux-x86_64";
    private static final LocalDateTime TIME = LocalDateTime.of(2026, 1, 1, 0, 0);
    /** What vblora and its tests load: by JavaCPP, OpenBLAS's needs with it, and the tokenizers. */
    private static final List<String> LOADED = List.of(
            "io/vblora/kernels/" + PLATFORM + "/libjnivblora.so",
            "org/bytedeco/cuda/" + PLATFORM + "/libjnicublas.so",
            "org/bytedeco/cuda/" + PLATFORM + "/libjnicudart.so",
            "org/bytedeco/javacpp/" + PLATFORM + "/libjnijavacpp.so",
            "org/bytedeco/openblas/" + PLATFORM + "/libjniopenblas_nolapack.so",
            "org/bytedeco/openblas/" + PLATFORM + "/libopenblas.so.0",
            "org/bytedeco/openblas/" + PLATFORM + "/libgfortran.so.5",
            "org/bytedeco/openblas/" + PLATFORM + "/libquadmath.so.0",
            "native/lib/" + PLATFORM + "/cpu/libtokenizers.so");

    private Jars() {}

    public static void main(String[] args) throws IOException {
        if (args[0].equals("--folder")) {
            write(folder(Path.of(args[1])), Path.of(args[2]));
            return;
        }
        Path lib = Path.of(args[0]);
        Path natives = Path.of(args[1]);
        Set<String> missing = new HashSet<>(LOADED);
        for (String name : Arrays.copyOfRange(args, 2, args.length)) {
            Path jar = Path.of(name);
            Map<String, byte[]> entries = jar(jar);
            for (String entry : LOADED) {
                byte[] content = entries.get(entry);
                if (content != null) {
                    Path file = Files.write(natives.resolve(entry.substring(entry.lastIndexOf('/') + 1)), content);
                    file.toFile().setExecutable(true, false);
                    missing.remove(entry);
                }
            }
            entries.keySet().removeIf(Jars::isDropped);
            if (!name.endsWith("-" + PLATFORM + ".jar")) { // such hold natives alone
                write(entries, lib.resolve(jar.getFileName()));
            }
        }
        if (!missing.isEmpty()) {
            throw new IOException("not in any of the jars: " + missing);
        }
    }

    /** Natives of other platforms, and those that lie beside the jars. */
    private static boolean isDropped(String entry) {
        return LOADED.contains(entry) || entry.matches(".*\\.(so|dll|dylib|jnilib|a)")
                && !entry.matches("(?i).*/linux[-/]x86[-_]64/.*");
    }

    private static Map<String, byte[]> jar(Path file) throws IOException {
        Map<String, byte[]> entries = new TreeMap<>();
        try (ZipFile zip = new ZipFile(file.toFile())) {
            for (ZipEntry entry : zip.stream().filter(e -> !e.isDirectory()).toList()) {
                entries.put(entry.getName(), zip.getInputStream(entry).readAllBytes());
            }
        }
        return entries;
    }

    private static Map<String, byte[]> folder(Path folder) throws IOException {
        Map<String, byte[]> entries = new TreeMap<>();
        List<Path> files = new ArrayList<>();
        try (Stream<Path> walk = Files.walk(folder)) {
            walk.filter(Files::isRegularFile).forEach(files::add);
        }
        for (Path file : files) {
            entries.put(folder.relativize(file).toString(), Files.readAllBytes(file));
        }
        return entries;
    }

    private static void write(Map<String, byte[]> entries, Path jar) throws IOException {
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(jar))) {
            zip.setMethod(ZipOutputStream.STORED);
            byte[] manifest = entries.remove("META-INF/MANIFEST.MF");
            if (manifest != null) {
                write(zip, "META-INF/MANIFEST.MF", manifest); // first, as readers expect it
            }
            for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
                write(zip, entry.getKey(), entry.getValue());
            }
        }
    }

    private static void write(ZipOutputStream zip, String name, byte[] content) throws IOException {
        ZipEntry entry = new ZipEntry(name);
        entry.setTimeLocal(TIME);
        CRC32 crc = new CRC32();
        crc.update(content);
        entry.setCrc(crc.getValue());
        entry.setSize(content.length);
        zip.putNextEntry(entry);
        zip.write(content);
    }
}
