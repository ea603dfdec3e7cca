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
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Shows the machine, loads every library, and says what is missing and how to get it. */
@Command(name = "doctor", mixinStandardHelpOptions = true, versionProvider = Main.Version.class,
        description = {"Shows the machine, the libraries and CUDA; says what is missing and how to get it.",
            "Fails only if something is missing without which vblora does not run.",
            "With --kernels it runs every kernel on random input instead, with outputs that are filled beforehand with "
                    + "values that cannot be results; compares what the kernel wrote with float64 arithmetic on the "
                    + "CPU, looks for writes outside of its arrays, and times it. Fails if a kernel is wrong."},
        footer = {"", "A kernel's error is the greatest difference from float64, as a share of what the kernel has to "
                + "round: the result if that is rounded once, or all intermediate results if the kernel computes in "
                + "float32. Its bound is mostly half of the last place of the data type.",
            "GB/s are the bytes that a kernel must read and write, divided by the median of its times with cold "
                    + "caches. \"Of copy\" is their share of a copy within the device, which is measured in the same "
                    + "run."})
final class DoctorCommand implements Callable<Integer> {
    private static final List<String> KERNEL_OPTIONS = List.of("--device", "--seed", "--quick", "--json");

    @Option(names = "--kernels", description = "Check and time the kernels.")
    private boolean kernels;

    @Mixin
    private KernelDeviceOption device;

    @Option(names = "--seed", paramLabel = "N", description = "Seed of the random input (default: new each time).")
    private Long seed;

    @Option(names = "--quick", description = "Small shapes, one repetition.")
    private boolean quick;

    @Option(names = "--json", description = "Print JSON instead of a table.")
    private boolean json;

    @Spec
    private CommandSpec spec;

    private PrintWriter out;
    private final List<String> missing = new ArrayList<>();

    @Override
    public Integer call() {
        Invocation invocation = new Invocation(spec);
        if (kernels) {
            return checkKernels(invocation);
        }
        invocation.refuse(KERNEL_OPTIONS, "without --kernels");
        out = invocation.out();
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

    private int checkKernels(Invocation invocation) {
        List<String> arguments = new ArrayList<>(List.of("--check", "--device", device.name(invocation)));
        if (seed != null) {
            invocation.check(seed >= 0, "--seed: found " + seed + "; expected a whole number from 0");
            arguments.addAll(List.of("--seed", seed.toString()));
        }
        if (quick) {
            arguments.add("--quick");
        }
        if (json) {
            arguments.add("--json");
        }
        KernelBench.run(arguments, invocation);
        return ExitCode.OK;
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
            line("compiled in", cuda.compiledIn() ? "yes, for architectures " + cuda.architectures()
                    : "no: ./vblora builds it where nvcc, of NVIDIA's CUDA toolkit, and a GPU or CUDAARCHS are");
            line("devices", cuda.count() > 0 ? String.valueOf(cuda.count()) : "none: " + cuda.reason());
            for (int i = 0; i < cuda.count(); i++) {
                line(Device.cuda(i).toString(), Device.cuda(i).properties().toString());
            }
            line("used", "no: models run on the CPU alone in this version");
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

    /** The value after the colon or equals sign on the first line that begins with the key. */
    private static String field(String file, String key, String absent) {
        try {
            return Files.readAllLines(Path.of(file)).stream().filter(line -> line.startsWith(key))
                    .map(line -> line.substring(key.length()).replaceFirst("^\\s*:", "").strip()).findFirst()
                    .orElse(absent);
        } catch (IOException e) {
            return absent;
        }
    }

    /** Converts a size such as "1024 kB", as in /proc/meminfo. */
    private static String gibibytes(String kilobytes) {
        return kilobytes.endsWith(" kB")
                ? String.format(Locale.ROOT, "%.1f GiB", Long.parseLong(kilobytes.replace(" kB", "")) / (1024.0 * 1024))
                : kilobytes;
    }
}
