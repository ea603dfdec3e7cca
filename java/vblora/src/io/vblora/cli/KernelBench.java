package io.vblora.cli;

import static io.vblora.kernels.global.vblora.VBL_INTERNAL;

import io.vblora.kernels.BenchProgram;
import io.vblora.kernels.KernelException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import picocli.CommandLine.ParameterException;

/**
 * Runs vblora-bench in a process of its own, so that a kernel that goes astray there cannot take this process with it.
 */
final class KernelBench {
    private static final int WRONG_USE = 2;  // its exit code for a bad option, or a device that is not there

    private KernelBench() {}

    /**
     * Runs the program and passes on what it prints, line by line.
     *
     * @throws ParameterException with what it says on standard error, if it refuses an argument
     * @throws KernelException likewise, if it fails
     */
    static void run(List<String> arguments, Invocation invocation) {
        PrintWriter out = invocation.out();
        List<String> command = new ArrayList<>(List.of(BenchProgram.locate().toString()));
        command.addAll(arguments);
        try {
            Process process = new ProcessBuilder(command).start();
            process.getOutputStream().close();
            CompletableFuture<String> said = CompletableFuture.supplyAsync(() -> read(process.getErrorStream()));
            try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    out.println(line);
                }
            }
            out.flush();
            int code = process.waitFor();
            if (code != 0) {
                String sentence = said.join().strip().replaceFirst("^vblora-bench: ", "");
                String message = sentence.isEmpty() ? command.get(0) + " ended with " + code : sentence;
                throw code == WRONG_USE ? invocation.wrongUse(message) : new KernelException(VBL_INTERNAL, message);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(command.get(0) + " could not be run: " + e.getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    private static String read(InputStream stream) {
        try {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            return "";  // the exit code says that it failed
        }
    }
}
