package io.vblora.model.toybigram;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.data.CausalLmExample;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.Execution;
import io.vblora.model.TokenBatch;
import io.vblora.train.CausalLmObjective;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingArguments;
import io.vblora.train.TrainingResult;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** A language model of its own build, outside of the models' package, computes and is trained as decoders are. */
class ToyBigramTest {
    private static final int VOCABULARY = ToyBigram.VOCABULARY;
    private static final int HIDDEN = ToyBigram.HIDDEN;

    private static float[] random(Random random) {
        float[] values = new float[VOCABULARY * HIDDEN];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** Each token is followed by the next number. */
    private static List<CausalLmExample> counting(Random random) {
        List<CausalLmExample> examples = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            int[] ids = new int[2 + random.nextInt(9)];
            int first = random.nextInt(VOCABULARY);
            for (int t = 0; t < ids.length; t++) {
                ids[t] = (first + t) % VOCABULARY;
            }
            examples.add(CausalLmExample.of(ids));
        }
        return examples;
    }

    @Test
    void logitsAreProductsOfTwoRows() {
        float[] table = random(new Random(1));
        float[] head = random(new Random(2));
        try (Stream stream = Stream.cpu(1); ToyBigram model = new ToyBigram(
                Tensor.of(table, VOCABULARY, HIDDEN), Tensor.of(head, VOCABULARY, HIDDEN));
                Execution execution = new Execution(stream, Blas.on(stream.device()))) {
            float[] logits = model.logits(execution, TokenBatch.of(new int[] {4, 8}));
            for (int v = 0; v < VOCABULARY; v++) {
                double expected = 0;
                for (int i = 0; i < HIDDEN; i++) {
                    expected += (double) table[8 * HIDDEN + i] * head[v * HIDDEN + i];
                }
                assertEquals(expected, logits[VOCABULARY + v], 1e-5);
            }
        }
    }

    @Test
    void tokensAndLabelsThatItDoesNotKnowAreRefused() {
        try (Stream stream = Stream.cpu(1); ToyBigram model = new ToyBigram(
                Tensor.of(random(new Random(1)), VOCABULARY, HIDDEN),
                Tensor.of(random(new Random(2)), VOCABULARY, HIDDEN));
                Execution execution = new Execution(stream, Blas.on(stream.device()))) {
            TokenBatch batch = TokenBatch.of(new int[] {4, 8});
            assertThrows(InputException.class, () -> model.logits(execution, TokenBatch.of(new int[] {VOCABULARY})));
            assertThrows(InputException.class, () -> model.lossSum(execution, batch, new int[] {0, VOCABULARY}));
            for (int labels : new int[] {1, 3}) {
                assertThrows(IllegalArgumentException.class, () -> model.lossSum(execution, batch, new int[labels]));
            }
        }
    }

    @Test
    void learns() {
        VbLoraConfig config = VbLoraConfig.builder().r(4).numVectors(64).vectorLength(3).targetModules(List.of("head"))
                .modulesToSave(List.of("table")).build();
        try (Stream stream = Stream.cpu(2); ToyBigram model = new ToyBigram(
                Tensor.of(random(new Random(1)), VOCABULARY, HIDDEN),
                Tensor.of(random(new Random(2)), VOCABULARY, HIDDEN));
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                Adapter adapter = Adapter.create(config, model.linears(), model.parameters(), 0, stream, 3)) {
            model.attach(adapter);
            TrainingResult result = new Trainer<>(new CausalLmObjective(model), execution, TrainingArguments.builder()
                    .maxSteps(120).learningRate(0.02).learningRate("learning_rate_vector_bank", 0.02)
                    .learningRate("learning_rate_logits", 0.02).build(), List.of())
                    .train(counting(new Random(4)), counting(new Random(5)));
            double first = result.metricsBefore().get("eval_loss");
            double last = result.metricsAfter().get("eval_loss");
            assertTrue(last < first / 2, () -> first + " before, " + last + " after");
        }
    }
}
