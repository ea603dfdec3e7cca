package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class DoctorCommandTest {
    @Test
    void showsMachineLibrariesAndCuda() {
        CommandLineRun run = CommandLineRun.of("doctor").assertDone();
        for (String name : List.of("system", "CPU", "memory", "Java", "vblora", "native library", "OpenBLAS",
                "tokenizers",
                "compiled in", "devices", "used")) {
            assertTrue(run.out().matches("(?s).*\\n  " + name + " +\\S.*"), name + " is not in " + run.out());
        }
        assertTrue(run.out().contains("instruction set " + Stream.cpuInstructionSet()), run.out());
        assertTrue(run.out().contains(Runtime.getRuntime().availableProcessors() + " processors"), run.out());
        assertTrue(run.out().contains("nothing that vblora needs"), run.out());
        Device.Cuda cuda = Device.probeCuda();
        if (cuda.count() == 0) {  // which is said once
            assertEquals(2, run.out().split(Pattern.quote(cuda.reason()), -1).length, run.out());
            assertEquals(2, run.out().split("none|no CUDA device", -1).length, run.out());
        }
        assertEquals("", run.err());
    }

    /** On a platform for which there are no native libraries in jars or folders, in a process of its own. */
    @Test
    void failsWhereALibraryIsMissingAndSaysHowToGetIt() throws Exception {
        Process process = CommandLineRun.start(
                List.of("-Dorg.bytedeco.javacpp.platform=linux-ppc64le", "-Djava.library.path="), "doctor");
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(1, process.waitFor(), out);
        assertTrue(out.contains("  native library  MISSING\n") && out.contains("  OpenBLAS        MISSING\n"), out);
        assertTrue(out.contains("\nMissing\n  native library: The native library jnivblora could not be loaded"), out);
        assertTrue(out.contains("is the jar org.bytedeco:openblas:linux-ppc64le on the class path?"), out);
    }
}
