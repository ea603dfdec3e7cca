package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.config.Pooling;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Empty sequences, and rows that only fill a bucket, change no bit of what is made of the others, dropout included.
 * Matrix products are added up in one order here: libraries choose theirs by the number of rows.
 */
class BucketTest {
    private static final int[][] SEQUENCES = {{1, 2, 3, 4, 5}, {6, 5}, {4, 3, 2}};
    private static final TokenBatch BATCH = TokenBatch.of(SEQUENCES);
    private static final List<TokenBatch> SAME = List.of(BATCH.padded(new Bucket(3, 10, 9)),
            BATCH.padded(new Bucket(5, 13, 5)), BATCH.padded(new Bucket(9, 32, 8)),
            TokenBatch.of(SEQUENCES[0], SEQUENCES[1], new int[0], SEQUENCES[2], new int[0]),
            TokenBatch.of(SEQUENCES[0], SEQUENCES[1], new int[0], SEQUENCES[2]).padded(new Bucket(6, 16, 6)));

    @TempDir
    Path folder;

    private final Stream stream = Stream.cpu(2);
    private final Execution execution = new Execution(stream, new OneOrderBlas());

    @AfterEach
    void close() {
        execution.close();
        stream.close();
    }

    private static LoraConfig.Builder lora() {
        return LoraConfig.builder().r(3).targetModules("all-linear").loraDropout(0.3);
    }

    /** What a training pass adds: the loss, and the gradients of A and B. */
    private record Added(double loss, float[] gradients) {}

    private Added train(LlamaModel model, Adapter adapter, TokenBatch batch) {
        int[] labels = Arrays.copyOf(BATCH.inputIds(), batch.tokens());
        Arrays.fill(labels, BATCH.tokens(), labels.length, -100);
        try (StepState step = new StepState(stream.device())) {
            adapter.trainables().forEach(trainable -> trainable.zeroGradient(stream));
            double loss = OnePass.loss(stream, step.seed(3).upload(stream), 1,
                    training -> model.addGradients(execution, batch, labels, training));
            return new Added(loss, adapter.composition().packedGradient().toFloats());
        }
    }

    @Test
    void ofADecodersTraining() throws IOException {
        TinyLlama tiny;
        int seed = 0;
        do { // else the number of sequences decides how the gradients of shared keys are added up
            tiny = TinyLlama.write(folder, new Random(seed++), 2);
        } while (tiny.config().attention().numAttentionHeads()
                != tiny.config().attention().numKeyValueHeads());
        try (LlamaModel model = LlamaModel.load(folder, null, stream);
                Adapter adapter = Adapter.create(lora().build(), model.linears(), stream, 1)) {
            model.attach(adapter);
            adapter.trainables().forEach(trainable -> trainable.enableTraining(stream));
            Added alone = train(model, adapter, BATCH);
            float[] logits = model.logits(execution, BATCH);
            for (TokenBatch same : SAME) {
                Added found = train(model, adapter, same);
                assertEquals(alone.loss, found.loss, same.bucket().toString());
                assertArrayEquals(alone.gradients, found.gradients, same.bucket().toString());
                assertArrayEquals(logits, Arrays.copyOf(model.logits(execution, same), logits.length));
            }
        }
    }

    @Test
    void ofAnEncodersVectors() throws IOException {
        TinyBert.write(folder, new Random(4), 4, Activation.GELU);
        try (BertModel model = BertModel.load(folder, null, stream)) {
            int hidden = model.config().hiddenSize();
            for (Pooling pooling : Pooling.values()) {
                float[] alone = model.embeddings(execution, BATCH, pooling, false);
                for (TokenBatch same : SAME.subList(0, 3)) {
                    assertArrayEquals(alone, Arrays.copyOf(model.embeddings(execution, same, pooling, false),
                            alone.length), same.bucket().toString());
                }
                float[] found = model.embeddings(execution, SAME.get(3), pooling, false);
                assertArrayEquals(Arrays.copyOf(alone, 2 * hidden), Arrays.copyOf(found, 2 * hidden));
                assertArrayEquals(Arrays.copyOfRange(alone, 2 * hidden, 3 * hidden),
                        Arrays.copyOfRange(found, 3 * hidden, 4 * hidden));
                if (pooling != Pooling.POOLER) {
                    assertArrayEquals(new float[hidden], Arrays.copyOfRange(found, 4 * hidden, 5 * hidden));
                }
            }
        }
    }
}
