package io.vblora.hostile;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A process of the command line: its exit code, what it printed, and what is wrong with that. */
record Run(int exitCode, String out, String err, boolean timedOut) {
    /** Within this time every case ends, also on a loaded machine. */
    static final int SECONDS = 60;
    private static final int LONGEST_MESSAGE = 4000;
    private static final int MOST_OUTPUT = 1 << 20;
    /** Larger files are not looked at: they are sparse ones, of which there is nothing to lose. */
    private static final long LARGEST_SUM = 1 << 28;

    /** A command of a Java process that runs the command line with little memory. */
    static ProcessBuilder process(Path folder, List<String> arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx256m", "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1", "-Dvblora.command=vblora",
                "-Dorg.bytedeco.javacpp.cachedir=" + System.getProperty("vblora.root") + "/build/hostile/javacpp",
                "-cp", System.getProperty("vblora.classpath"), "io.vblora.cli.Main"));
        command.addAll(arguments);
        return new ProcessBuilder(command).directory(folder.toFile());
    }

    static Run of(Path folder, Path logs, List<String> arguments) throws IOException, InterruptedException {
        Path out = logs.resolve("out");
        Path err = logs.resolve("err");
        Process process = process(folder, arguments).redirectOutput(out.toFile()).redirectError(err.toFile())
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile())).start();
        boolean ended = process.waitFor(SECONDS, TimeUnit.SECONDS);
        if (!ended) {
            process.destroyForcibly().waitFor();
        }
        return new Run(process.exitValue(), text(out), text(err), !ended);
    }

    private static String text(Path file) throws IOException {
        try (var stream = Files.newInputStream(file)) {
            return new String(stream.readNBytes(MOST_OUTPUT), StandardCharsets.UTF_8);
        }
    }

    /** What no run may do, whatever it was given. */
    List<String> faults(Case c, Path folder) throws IOException {
        List<String> faults = new ArrayList<>();
        if (timedOut) {
            faults.add("it did not end within " + SECONDS + " s");
        } else if (!c.expect().allows(exitCode)) {
            faults.add("exit code " + exitCode + ", expected " + c.expect());
        }
        if (exitCode == 0) {
            String printed = out.replaceAll("(?s)\\{.*", "");
            if (printed.matches("(?s).*\\b(NaN|Infinity)\\b.*")) {
                faults.add("a number that is not finite, and exit code 0");
            }
        } else if (!timedOut) {
            checkMessage(faults);
        }
        if (err.contains("\tat ") || err.contains("Internal error") || err.contains("Out of memory")) {
            faults.add("an error that says nothing to a person");
        }
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (name.startsWith("hs_err") || name.endsWith(".tmp")) {
                    faults.add("it left " + folder.relativize(file));
                }
            }
        }
        if (exitCode != 0 && !timedOut && Files.exists(folder.resolve("out")) && c.command().contains("out")) {
            faults.add("it failed and left a folder for its output");
        }
        return faults;
    }

    private void checkMessage(List<String> faults) {
        List<String> messages = err.lines().filter(line -> line.startsWith("vblora: error: ")).toList();
        if (messages.size() != 1 || !err.stripTrailing().endsWith(".")) {
            faults.add(messages.size() + " messages of an error, or one that is not the end");
        } else if (messages.get(0).length() > LONGEST_MESSAGE) {
            faults.add("a message of " + messages.get(0).length() + " characters");
        }
    }

    /** SHA-256 of the regular files of a folder, by their paths in it. */
    static Map<String, String> checksums(Path folder) throws IOException {
        Map<String, String> sums = new TreeMap<>();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.toList()) {
                if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) && Files.size(file) <= LARGEST_SUM) {
                    MessageDigest digest = MessageDigest.getInstance("SHA-256");
                    sums.put(folder.relativize(file).toString(),
                            HexFormat.of().formatHex(digest.digest(Files.readAllBytes(file))));
                }
            }
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
        return sums;
    }
}
