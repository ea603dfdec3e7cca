package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.config.Pooling;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The sequences of one batch may use different adapters: the numbers are those of each sequence alone with its adapter
 * attached alone. Matrix products are added up in one order here, so that the bits must be the same.
 */
class UpdatesTest {
    private static final int[][] SEQUENCES = {{1, 2, 3, 4, 5}, {6, 5}, {4, 3, 2}, {}, {1}, {2, 2, 6, 1}};
    /** Every change between slots, equal neighbours, and none. */
    private static final int[][] CHOICES = {{0, 1, 2, -1, 1, -1}, {2, 2, 1, 0, 0, 0}, {-1, -1, -1, -1, -1, -1},
        {1, 1, 1, 1, 1, 1}, {0, -1, 0, 1, 2, 0}};

    @TempDir
    Path folder;

    private final Stream stream = Stream.cpu(2);
    private final Execution execution = new Execution(stream, new OneOrderBlas());
    private final List<Adapter> adapters = new ArrayList<>();

    @AfterEach
    void close() {
        adapters.forEach(Adapter::close);
        execution.close();
        stream.close();
    }

    /** An adapter whose values are all random, B and whole parameters included. */
    private void add(Adaptable model, AdapterConfig config) {
        Random random = new Random(adapters.size());
        Adapter adapter = Adapter.create(config, model.linears(), model.parameters(), 0.02, stream,
                3 + adapters.size());
        adapters.add(adapter);
        adapter.composition().packed().copyFrom(random(random, adapter.composition().packed().elements()));
        for (String name : adapter.wholeParameters().names()) {
            adapter.wholeParameters().value(name).copyFrom(
                    random(random, adapter.wholeParameters().value(name).elements()));
        }
    }

    private static float[] random(Random random, long n) {
        float[] values = new float[(int) n];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian() / 4;
        }
        return values;
    }

    private LlamaModel llama() throws IOException {
        TinyLlama.write(folder, new Random(7), 2);
        LlamaModel model = LlamaModel.load(folder, null, stream);
        add(model, LoraConfig.builder().r(3).targetModules("all-linear")
                .modulesToSave(List.of("norm", "lm_head")).build());
        add(model, LoraConfig.builder().r(5).loraAlpha(7).targetModules(List.of("q_proj", "down_proj", "lm_head"))
                .modulesToSave(List.of("embed_tokens", "k_proj")).build());
        add(model, LoraConfig.builder().r(2).targetModules(List.of("k_proj", "up_proj", "o_proj")).build());
        return model;
    }

    @Test
    void ofADecodersBatch() throws IOException {
        try (LlamaModel model = llama()) {
            int vocabulary = model.config().vocabSize();
            float[][][] alone = new float[4][SEQUENCES.length][];
            double[] losses = new double[4];
            for (int slot = -1; slot < adapters.size(); slot++) {
                model.attach(slot < 0 ? null : adapters.get(slot));
                for (int i = 0; i < SEQUENCES.length; i++) {
                    alone[slot + 1][i] = SEQUENCES[i].length == 0 ? new float[0]
                            : model.logits(execution, TokenBatch.of(SEQUENCES[i]));
                }
                losses[slot + 1] = model.lossSum(execution, TokenBatch.of(SEQUENCES[0]), SEQUENCES[0]);
            }
            model.attach(adapters);
            assertEquals(adapters, model.adapters());
            for (int[] slots : CHOICES) {
                TokenBatch batch = TokenBatch.of(SEQUENCES).withAdapters(slots);
                float[] found = model.logits(execution, batch);
                for (int i = 0; i < SEQUENCES.length; i++) {
                    assertArrayEquals(alone[slots[i] + 1][i], Arrays.copyOfRange(found,
                            batch.starts()[i] * vocabulary, batch.starts()[i + 1] * vocabulary),
                            Arrays.toString(slots) + ", sequence " + i);
                }
            }
            for (int slot = -1; slot < adapters.size(); slot++) { // the others' labels do not count
                int[] slots = {slot, 0, 2, 1, -1, 0};
                TokenBatch batch = TokenBatch.of(SEQUENCES).withAdapters(slots);
                int[] labels = new int[batch.tokens()];
                Arrays.fill(labels, -100);
                System.arraycopy(SEQUENCES[0], 0, labels, 0, SEQUENCES[0].length);
                assertEquals(losses[slot + 1], model.lossSum(execution, batch, labels), 1e-12, "slot " + slot);
            }
        }
    }

    @Test
    void ofAnEncodersBatch() throws IOException {
        TinyBert.write(folder, new Random(5), 4, Activation.GELU);
        SequenceConfig task = new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, Pooling.POOLER,
                List.of("a", "b", "c"), 16);
        try (SequenceModel model = SequenceModel.load(folder, task, null, stream)) {
            add(model, LoraConfig.builder().r(2).targetModules("all-linear")
                    .modulesToSave(List.of("classifier")).build());
            add(model, LoraConfig.builder().r(4).targetModules(List.of("query", "dense")).bias("all")
                    .modulesToSave(List.of("classifier", "LayerNorm", "word_embeddings")).build());
            add(model, VbLoraConfig.builder().r(1).vectorLength(4).numVectors(6).targetModules(List.of("value"))
                    .modulesToSave(List.of("classifier", "pooler")).build());
            int labels = 3;
            float[][][] alone = new float[3][SEQUENCES.length][];
            for (int slot = 0; slot < adapters.size(); slot++) {
                model.attach(adapters.get(slot));
                for (int i = 0; i < SEQUENCES.length; i++) {
                    alone[slot][i] = SEQUENCES[i].length == 0 ? null
                            : model.logits(execution, TokenBatch.of(SEQUENCES[i]));
                }
            }
            model.attach(adapters);
            for (int[] slots : new int[][] {{0, 1, 2, 1, 1, 0}, {2, 2, 1, 0, 0, 0}, {1, 1, 1, 1, 1, 1}}) {
                float[] found = model.logits(execution, TokenBatch.of(SEQUENCES).withAdapters(slots));
                for (int i = 0; i < SEQUENCES.length; i++) {
                    if (alone[0][i] != null) {
                        assertArrayEquals(alone[slots[i]][i],
                                Arrays.copyOfRange(found, i * labels, (i + 1) * labels),
                                Arrays.toString(slots) + ", sequence " + i);
                    }
                }
            }
            assertTrue(assertThrows(IllegalStateException.class, () -> model.logitsOf(execution,
                    new float[model.encoder().config().hiddenSize()])).getMessage().contains("3 adapters"));
            TokenBatch headless = TokenBatch.of(SEQUENCES).withAdapters(0, 1, -1, 1, 0, 2);
            assertTrue(assertThrows(IllegalArgumentException.class, () -> model.logits(execution, headless))
                    .getMessage().contains("sequence 2"));
        }
    }

    private static PassShape shape(Updates updates, TokenBatch batch, int... labels) {
        Inputs inputs = new Inputs();
        ScoredRows.Given scored = ScoredRows.give(inputs, batch, labels, false);
        Tokens.Given given = Tokens.give(inputs, batch, updates.slots(batch), 0, false);
        return given.shape("loss", updates, scored.rows(given.rows()));
    }

    /** Memory is planned for the runs of all rows that a pass goes over: tokens, sequences and scored tokens. */
    @Test
    void theShapeOfAPassHasTheRunsOfAllRows() throws IOException {
        try (LlamaModel model = llama()) {
            model.attach(adapters);
            Updates updates = model.use().updates();
            int[] ten = new int[40];
            TokenBatch two = TokenBatch.of(ten, ten);
            int[] first = new int[80];
            Arrays.fill(first, -100);
            int[] second = first.clone();
            Arrays.fill(first, 1, 9, 1);
            Arrays.fill(second, 71, 79, 1);
            assertEquals(shape(updates, two.withAdapters(0, 1), first), shape(updates, two.withAdapters(0, 1), first));
            assertNotEquals(shape(updates, two.withAdapters(0, 1), first),
                    shape(updates, two.withAdapters(0, 1), second));
            assertNotEquals(shape(updates, two.withAdapters(0, 1), first),
                    shape(updates, two.withAdapters(0, 0), first));
            TokenBatch half = TokenBatch.of(ten, new int[0]);
            assertNotEquals(shape(updates, half.withAdapters(0, 0), ten), shape(updates, half.withAdapters(0, 1), ten));
        }
    }

    /** All that is read before the first product is the adapter's own. */
    @Test
    void aClosedModelIsNotRead() throws IOException {
        TinyLlama.write(folder, new Random(7), 2);
        LlamaModel model = LlamaModel.load(folder, null, stream);
        add(model, LoraConfig.builder().r(2).targetModules(List.of("q_proj"))
                .modulesToSave(List.of("embed_tokens", "input_layernorm")).build());
        model.attach(adapters.get(0));
        model.close();
        try (Execution own = new Execution(stream, Blas.on(stream.device()))) {
            assertThrows(IllegalStateException.class, () -> model.logits(own, TokenBatch.of(SEQUENCES[0])));
        }
    }

    /** More rows than the head computes at a time, with dropout in the head, drawn for each token's place. */
    @Test
    void theHeadGoesOverPartsOfTheRows() throws IOException {
        TinyLlama.write(folder, new Random(7), 2);
        try (LlamaModel model = LlamaModel.load(folder, null, stream);
                StepState step = new StepState(stream.device())) {
            add(model, LoraConfig.builder().r(3).targetModules(List.of("lm_head", "q_proj")).loraDropout(0.4).build());
            model.attach(adapters.get(0));
            adapters.get(0).trainables().forEach(trainable -> trainable.enableTraining(stream));
            TokenBatch batch = TokenBatch.of(SEQUENCES);
            int vocabulary = model.config().vocabSize();
            float[][] gradients = new float[3][];
            double[] losses = new double[3];
            for (int i = 0; i < 3; i++) {
                model.logitsAtOnce(new long[] {1 << 22, 4L * vocabulary, vocabulary}[i]);
                adapters.get(0).trainables().forEach(trainable -> trainable.zeroGradient(stream));
                losses[i] = OnePass.loss(stream, step.seed(3).upload(stream), 1,
                        training -> model.addGradients(execution, batch, batch.inputIds(), training));
                gradients[i] = adapters.get(0).composition().packedGradient().toFloats();
                assertEquals(losses[0], losses[i], 1e-9);
                assertArrayEquals(gradients[0], gradients[i], 1e-5f);
            }
        }
    }

    @Test
    void wrongUseIsRefused() throws IOException {
        try (LlamaModel model = llama(); StepState step = new StepState(stream.device())) {
            TokenBatch batch = TokenBatch.of(SEQUENCES);
            assertThrows(IllegalArgumentException.class, () -> batch.withAdapters(0));
            assertThrows(IllegalArgumentException.class, () -> batch.withAdapters(0, 0, 0, 0, 0, -2));
            model.attach(adapters);
            assertTrue(assertThrows(IllegalArgumentException.class, () -> model.logits(execution, batch))
                    .getMessage().contains("3 adapters"));
            TokenBatch fourth = batch.withAdapters(0, 0, 0, 0, 3, 0);
            assertTrue(assertThrows(IllegalArgumentException.class, () -> model.logits(execution, fourth))
                    .getMessage().contains("slot 3"));
            assertThrows(IllegalStateException.class, model::adapter);
            adapters.get(0).trainables().forEach(trainable -> trainable.enableTraining(stream));
            TokenBatch named = batch.withAdapters(0, 0, 0, 0, 0, 0);
            assertTrue(assertThrows(IllegalStateException.class, () -> OnePass.loss(stream, step.upload(stream), 1,
                    training -> model.addGradients(execution, named, batch.inputIds(), training)))
                    .getMessage().contains("3 adapters"));
            model.attach(adapters.get(0));
            TokenBatch withNone = batch.withAdapters(0, 0, -1, 0, 0, 0);
            assertTrue(assertThrows(IllegalArgumentException.class, () -> OnePass.loss(stream, step.upload(stream), 1,
                    training -> model.addGradients(execution, withNone, batch.inputIds(), training)))
                    .getMessage().contains("one adapter"));
            assertTrue(Double.isFinite(OnePass.loss(stream, step.upload(stream), 1,
                    training -> model.addGradients(execution, named, batch.inputIds(), training))));
            model.detach();
            assertFalse(model.adapters().contains(adapters.get(0)));
            assertThrows(IllegalArgumentException.class, () -> model.logits(execution, named));
        }
    }
}
