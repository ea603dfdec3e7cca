package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.Stream;
import java.util.List;
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
        assertEquals("", run.err());
    }
}
