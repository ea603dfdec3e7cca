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

/**
 * Runs vblora-bench, in a process of its own: a kernel that goes astray there cannot take this one with it.
 */
final class KernelBench {
    private KernelBench() {}

    /**
     * Runs it and passes on what it prints, line by line.
     *
     * @throws KernelException with what it says on standard error, if it fails
     */
    static void run(List<String> arguments, PrintWriter out) {
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
                throw new KernelException(VBL_INTERNAL, sentence.isEmpty() ? command.get(0) + " ended with " + code
                        : sentence);
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
