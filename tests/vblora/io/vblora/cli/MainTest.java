package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class MainTest {
    @TempDir
    Path folder;

    @Test
    void listsItsCommands() {
        CommandLineRun run = CommandLineRun.of("--help").assertDone();
        for (String command : List.of("demo", "finetune", "evaluate", "delta", "inspect", "doctor", "bench")) {
            assertTrue(run.out().lines().anyMatch(line -> line.matches("  " + command + " +[A-Z].*")), run.out());
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
        CommandLineRun.of("inspect").assertError(2, "Missing required parameter: 'PATH'");
        CommandLineRun.of("inspect", folder, "--yaml").assertError(2, "Unknown option --yaml. ");
        CommandLineRun.of("inspect", folder, "a", "b").assertError(2, "Unexpected argument a. ");
        CommandLineRun.of("delta", "--adapter", folder).assertError(2, "'vblora delta --help' explains the options");
    }

    @Test
    void wrongUseHasNoStackTrace() {
        for (List<String> arguments : List.of(List.of("--verbose"), List.of("inspect", "--verbose"))) {
            CommandLineRun run = CommandLineRun.of(arguments.toArray()).assertError(2, "vblora: error: ");
            assertTrue(!run.err().contains("\tat "), run.err());
        }
    }

    @Test
    void repeatsNoLongArgumentWhole() {
        for (String option : List.of("--overlong=", "--max-length=", "--device=", "--method=")) {
            CommandLineRun run = CommandLineRun.of("finetune", "--model", folder, "--train", "train.txt",
                    "--output", "output", option + "x".repeat(100_000)).assertError(2, "characters left out");
            assertTrue(run.err().length() < 4000, option + ": " + run.err().length() + " characters");
        }
    }

    /** In the order of help. */
    @Test
    void listsTheCommandsWhereThereIsNone() {
        String help = CommandLineRun.of("--help").assertDone().out();
        CommandLineRun none = CommandLineRun.of().assertError(2, "No command given");
        assertTrue(none.err().startsWith(help), none.err());
        assertEquals("", none.out());
        CommandLineRun.of("help", "train").assertError(2, "Unknown subcommand 'train'. '");
        CommandLineRun.of("train").assertError(2, "Unknown command train; ")
                .assertError(2, "; all commands: demo, finetune, evaluate, delta, inspect, doctor, bench, help. ");
    }

    @Test
    void namesWhatASlipIsSimilarTo() {
        CommandLineRun.of("fintune").assertError(2, "Unknown command fintune; similar: finetune");
        CommandLineRun.of("finetune", "--model", "m", "--train", "t", "--output", "o", "--num-train-epoch", "3")
                .assertError(2, "Unknown option --num-train-epoch; similar: ")
                .assertError(2, "--num-train-epochs");
    }

    /** As by a launcher, which says how it was called. */
    @Test
    void callsItselfAsItWasCalled() {
        System.setProperty(Main.COMMAND, "./vblora");
        try {
            CommandLineRun.of().assertError(2, "No command given. './vblora --help' explains the commands.");
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

    /** As a process: what the environment says cannot be changed in this one. */
    @ParameterizedTest
    @CsvSource({"70, 70", "100, 100", "1000, 120", "10, 55", "wide, 80", "'', 80"})
    void helpIsAsWideAsTheEnvironmentSays(String columns, int expected) throws Exception {
        ProcessBuilder builder = CommandLineRun.builder(List.of(), "finetune", "--help");
        builder.environment().put("COLUMNS", columns);
        int longest = output(builder, 0).lines().filter(line -> !line.startsWith("Usage:"))
                .mapToInt(String::length).max().orElse(0);
        assertTrue(longest <= expected && longest > expected - 10, columns + ": " + longest);
    }

    /** In the locale of C the JVM knows no characters but ASCII's. */
    @Test
    void saysWhichLocaleAPathNeeds() throws Exception {
        ProcessBuilder builder = CommandLineRun.builder(List.of(), "inspect", "t\u00fcr");
        builder.environment().put("LC_ALL", "C");
        String said = output(builder, 2);
        assertTrue(said.startsWith("vblora: error: PATH: found t") && said.contains("LC_ALL=C.UTF-8"), said);
        builder.environment().put("LC_ALL", "C.UTF-8");
        said = output(builder, 1);
        assertTrue(said.contains("r: found no such file"), said);
    }

    private static String output(ProcessBuilder builder, int expectedCode) throws Exception {
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(expectedCode, process.waitFor(), output);
        return output;
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
