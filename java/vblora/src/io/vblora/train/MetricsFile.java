package io.vblora.train;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.IoReason;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Writes a JSON object on each line. Each optimizer step has one with {@code step}, {@code loss} (the mean over what
 * counts in the step: label tokens or examples), {@code learning_rate_vector_bank} and so on, {@code grad_norm} (before
 * clipping) and {@code tokens_per_second}. Each evaluation on held-out data has one, after the line of the step before
 * it, with {@code step} (0 before the first), {@code eval_loss}, the task's metrics by name, and {@code best}, which
 * says whether they are the best so far. Numbers have all digits of a double, and those that are not finite are written
 * as strings, such as "NaN". Every line is passed to the operating system at once, so that a crash loses no step that
 * was reported.
 */
public final class MetricsFile implements TrainingListener, AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path file;
    private final OutputStream out;

    /**
     * Creates the file, or empties it.
     *
     * @throws UncheckedIOException if it cannot be written
     */
    public MetricsFile(Path file) {
        this.file = file;
        try {
            out = new FileOutputStream(file.toFile()); // an interrupt of the training thread would close a channel
        } catch (IOException e) {
            throw failed(e);
        }
    }

    @Override
    public void onStep(Step step) {
        ObjectNode json = JSON.createObjectNode();
        json.put("step", step.step());
        json.put("loss", step.loss());
        step.learningRates().forEach(json::put);
        json.put("grad_norm", step.gradNorm());
        json.put("tokens_per_second", step.tokensPerSecond());
        write(json);
    }

    @Override
    public void onEvaluation(Evaluation evaluation) {
        ObjectNode json = JSON.createObjectNode();
        json.put("step", evaluation.step());
        evaluation.metrics().forEach(json::put);
        json.put("best", evaluation.best());
        write(json);
    }

    private void write(ObjectNode json) {
        try {
            out.write((json + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw failed(e);
        }
    }

    @Override
    public void close() {
        try {
            out.close();
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private UncheckedIOException failed(IOException e) {
        return new UncheckedIOException("The metrics file " + file + " could not be written: " + IoReason.of(e), e);
    }
}
