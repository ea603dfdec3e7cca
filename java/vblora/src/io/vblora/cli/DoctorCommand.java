package io.vblora.cli;

import static io.vblora.kernels.global.vblora.VBL_ABI_VERSION;

import io.vblora.blas.BlasException;
import io.vblora.blas.OpenBlas;
import io.vblora.data.Tokenizer;
import io.vblora.kernels.Device;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.NativeLibraryException;
import io.vblora.kernels.Stream;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Shows the machine, loads every library and says what is missing and how to get it. */
@Command(name = "doctor", mixinStandardHelpOptions = true, versionProvider = Main.Version.class,
        description = "Shows the machine, the libraries and CUDA; says what is missing and how to get it. Fails only "
                + "if something is missing without which vblora does not run.")
final class DoctorCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    private PrintWriter out;
    private final List<String> missing = new ArrayList<>();

    @Override
    public Integer call() {
        out = spec.commandLine().getOut();
        machine();
        libraries();
        cuda();
        title("Missing");
        if (missing.isEmpty()) {
            out.println("  nothing that vblora needs");
        }
        missing.forEach(line -> out.println("  " + line));
        out.flush();
        return missing.isEmpty() ? ExitCode.OK : ExitCode.SOFTWARE;
    }

    private void machine() {
        Runtime runtime = Runtime.getRuntime();
        title("Machine");
        line("system", field("/etc/os-release", "PRETTY_NAME=", System.getProperty("os.name")).replace("\"", "")
                + ", kernel "
                + System.getProperty("os.version") + ", " + System.getProperty("os.arch"));
        line("CPU", field("/proc/cpuinfo", "model name", "unknown") + ", " + runtime.availableProcessors()
                + " processors for this process");
        String total = field("/proc/meminfo", "MemTotal", "unknown");
        String available = field("/proc/meminfo", "MemAvailable", "unknown");
        line("memory", gibibytes(total) + ", " + gibibytes(available) + " of it available");
        line("Java", System.getProperty("java.version") + ", " + System.getProperty("java.vm.name") + ", heap up to "
                + gibibytes(runtime.maxMemory() / 1024 + " kB"));
    }

    private void libraries() {
        title("Libraries");
        line("vblora", new Main.Version().getVersion()[0].replace("vblora ", ""));
        check("native library", () -> {
            NativeLibrary.load();
            return "ABI " + VBL_ABI_VERSION + ", instruction set " + Stream.cpuInstructionSet();
        });
        check("OpenBLAS", () -> {
            new OpenBlas();
            return org.bytedeco.openblas.global.openblas_nolapack.OPENBLAS_VERSION.strip() + ", " + OpenBlas.library();
        });
        check("tokenizers", Tokenizer::loadLibrary);
    }

    private void cuda() {
        title("CUDA (optional)");
        try {
            Device.Cuda cuda = Device.probeCuda();
            line("compiled in", cuda.compiledIn() ? "yes" : "no");
            line("devices", cuda.count() > 0 ? String.valueOf(cuda.count()) : "none: " + cuda.reason());
            line("used", "no: " + DeviceOption.noCuda(cuda));
        } catch (NativeLibraryException e) {
            line("devices", "unknown without the native library");
        }
    }

    private void check(String name, Supplier<String> library) {
        try {
            line(name, library.get());
        } catch (NativeLibraryException | BlasException e) {
            line(name, "MISSING");
            missing.add(name + ": " + e.getMessage());
        }
    }

    private void title(String title) {
        out.println(title);
    }

    private void line(String name, String value) {
        out.printf("  %-15s %s%n", name, value);
    }

    /** The value after the colon or equals sign on the first line that begins with a key. */
    private static String field(String file, String key, String absent) {
        try {
            return Files.readAllLines(Path.of(file)).stream().filter(line -> line.startsWith(key))
                    .map(line -> line.substring(key.length()).replaceFirst("^\\s*:", "").strip()).findFirst()
                    .orElse(absent);
        } catch (IOException e) {
            return absent;
        }
    }

    /** From "1024 kB" as in /proc/meminfo. */
    private static String gibibytes(String kilobytes) {
        return kilobytes.endsWith(" kB")
                ? String.format(Locale.ROOT, "%.1f GiB", Long.parseLong(kilobytes.replace(" kB", "")) / (1024.0 * 1024))
                : kilobytes;
    }
}
