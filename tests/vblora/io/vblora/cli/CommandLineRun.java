package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A command line that was run in this process: its exit code and what it printed. */
public record CommandLineRun(int exitCode, String out, String err) {
    public static CommandLineRun of(Object... arguments) {
        String[] strings = new String[arguments.length];
        for (int i = 0; i < arguments.length; i++) {
            strings[i] = arguments[i].toString();
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int exitCode = Main.run(new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8), strings);
        return new CommandLineRun(exitCode, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    static Process start(List<String> jvmOptions, Object... arguments) throws IOException {
        return builder(jvmOptions, arguments).start();
    }

    /** A Java process that runs the command line, its standard error joined to its standard output. */
    static ProcessBuilder builder(List<String> jvmOptions, Object... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1", "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"))));
        command.addAll(jvmOptions);
        command.add(Main.class.getName());
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        return new ProcessBuilder(command).redirectErrorStream(true);
    }

    public CommandLineRun assertDone() {
        assertEquals(0, exitCode, this::toString);
        return this;
    }

    /** The last line of standard error is one paragraph that holds this text, without a stack trace. */
    public CommandLineRun assertError(int expectedCode, String text) {
        assertEquals(expectedCode, exitCode, this::toString);
        String[] lines = err.split("\\R");
        String last = lines[lines.length - 1];
        assertTrue(last.startsWith("vblora: error: ") && last.endsWith(".") && last.contains(text), this::toString);
        assertTrue(!err.contains("\tat "), this::toString);
        return this;
    }
}
