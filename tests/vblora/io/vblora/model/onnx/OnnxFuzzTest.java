package io.vblora.model.onnx;

import io.vblora.InputException;
import io.vblora.model.onnx.TinyOnnx.Style;
import io.vblora.onnx.OnnxMutator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;

/** Files that somebody has changed are read for what they then say, or refused with a message. */
@Tag("slow")
class OnnxFuzzTest {
    private static final int MUTANTS = Integer.getInteger("vblora.fuzz", 150);

    @TempDir
    private Path folder;

    @RepeatedTest(4)
    void readsOrRefuses(RepetitionInfo repetition) throws IOException {
        int read = 0;
        for (int i = 0; i < MUTANTS; i++) {
            long seed = repetition.getCurrentRepetition() * 1_000_000L + i;
            Random random = new Random(seed);
            Style style = i % 2 == 0 ? Style.TORCH : Style.random(random);
            byte[] mutant = new OnnxMutator(new TinyOnnx(style, 1).bytes(), random).mutant();
            Path file = Files.write(folder.resolve("model.onnx"), mutant);
            try (OnnxBert bert = OnnxBert.open(file)) {
                for (String name : bert.weights().names()) {
                    bert.weights().readFloat32(name).close();
                }
                read++;
            } catch (InputException e) {
                // Refused, with a message.
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + ", " + style, e);
            }
        }
        System.out.println("ONNX mutants: " + read + " of " + MUTANTS + " read, the others refused");
    }
}
