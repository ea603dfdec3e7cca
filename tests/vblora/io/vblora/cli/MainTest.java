package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MainTest {
    @TempDir
    Path folder;

    @Test
    void listsItsCommands() {
        CommandLineRun run = CommandLineRun.of("--help").assertDone();
        for (String command : List.of("demo", "finetune", "evaluate", "delta", "inspect", "doctor", "bench")) {
            assertTrue(run.out().contains("\n  " + command + " "), run.out());
        }
        assertTrue(run.out().contains("Exit code: 0 done, 1 failed, 2 wrong use."), run.out());
        assertEquals("", run.err());
    }

    /** Every option is explained, and its value named. */
    @ParameterizedTest
    @ValueSource(strings = {"demo", "finetune", "evaluate", "delta", "inspect", "doctor", "bench"})
    void helpsWithEveryCommand(String command) {
        CommandLineRun run = CommandLineRun.of(command, "--help").assertDone();
        assertTrue(run.out().startsWith("Usage: vblora " + command), run.out());
        assertTrue(run.out().contains("--verbose") && run.out().contains("--version"), run.out());
        assertTrue(!run.out().contains("${"), run.out());
    }

    @Test
    void tellsItsVersion() {
        assertTrue(CommandLineRun.of("--version").assertDone().out().startsWith("vblora "));
        assertTrue(CommandLineRun.of("inspect", "--version").assertDone().out().startsWith("vblora "));
    }

    @Test
    void refusesWrongUse() {
        CommandLineRun.of().assertError(2, "No command given");
        CommandLineRun.of("train").assertError(2, "Unmatched argument at index 0: 'train'");
        CommandLineRun.of("inspect").assertError(2, "Missing required parameter: 'PATH'");
        CommandLineRun.of("inspect", folder, "--yaml").assertError(2, "Unknown option: '--yaml'");
        CommandLineRun.of("delta", "--adapter", folder).assertError(2, "'vblora delta --help' explains the options");
    }

    @Test
    void namesWhatASlipIsSimilarTo() {
        CommandLineRun.of("fintune").assertError(2, "'fintune'; similar: finetune");
        CommandLineRun.of("finetune", "--model", "m", "--train", "t", "--output", "o", "--num-train-epoch", "3")
                .assertError(2, "Unknown options: '--num-train-epoch', '3'; similar: ")
                .assertError(2, "--num-train-epochs");
    }

    /** As by a launcher, which says how it was called. */
    @Test
    void callsItselfAsItWasCalled() {
        System.setProperty(Main.COMMAND, "./vblora");
        try {
            CommandLineRun.of().assertError(2, "No command given. './vblora --help' explains the options.");
            CommandLineRun.of("delta").assertError(2, "'./vblora delta --help' explains the options.");
            for (String command : List.of("demo", "finetune", "evaluate", "delta", "inspect", "doctor", "bench")) {
                String help = CommandLineRun.of(command, "--help").assertDone().out();
                assertTrue(help.startsWith("Usage: ./vblora " + command + " "), help);
            }
            String help = CommandLineRun.of("--help").assertDone().out();
            assertTrue(help.contains("'./vblora COMMAND --help' explains a command"), help);
            assertTrue(CommandLineRun.of("--version").assertDone().out().startsWith("vblora "));
        } finally {
            System.clearProperty(Main.COMMAND);
        }
    }

    @Test
    void printsAStackTraceOnlyWhenAskedTo() {
        Path missing = folder.resolve("missing.safetensors");
        CommandLineRun.of("inspect", missing).assertError(1, missing + ": found no such file");
        for (String[] arguments : new String[][] {{"--verbose", "inspect", missing.toString()},
            {"inspect", missing.toString(), "--verbose"}}) {
            CommandLineRun run = CommandLineRun.of((Object[]) arguments);
            assertEquals(1, run.exitCode());
            assertTrue(run.err().contains("\tat io.vblora."), run.err());
        }
    }
}
