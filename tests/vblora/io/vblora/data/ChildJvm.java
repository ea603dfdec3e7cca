package io.vblora.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A program of the tests in a process of its own, for what may end the process or not end at all.
 *
 * @param ended whether it ended within its time; else it was killed
 * @param exitCode 0 if all went well
 * @param output what it printed
 * @param errors what it printed as errors
 */
record ChildJvm(boolean ended, int exitCode, String output, String errors) {
    /**
     * Runs a class's main method.
     *
     * @param folder an empty folder for its output
     * @param environment variables beside those of this process
     * @param options of the JVM
     */
    static ChildJvm run(Path folder, Map<String, String> environment, List<String> options, int seconds,
            Class<?> program, String... arguments) throws IOException, InterruptedException {
        Path output = Files.createTempFile(folder, "output", null);
        Path errors = Files.createTempFile(folder, "errors", null);
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("-Xmx512m");
        command.add("-XX:ErrorFile=" + folder.resolve("hs_err"));
        command.addAll(options);
        command.add("-cp");
        command.add(System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")));
        command.add(program.getName());
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().putAll(environment);
        Process process = builder.redirectOutput(output.toFile()).redirectError(errors.toFile()).start();
        try {
            boolean ended = process.waitFor(seconds, TimeUnit.SECONDS);
            return new ChildJvm(ended, ended ? process.exitValue() : -1, Files.readString(output),
                    Files.readString(errors));
        } finally {
            process.destroyForcibly().waitFor();
        }
    }
}
