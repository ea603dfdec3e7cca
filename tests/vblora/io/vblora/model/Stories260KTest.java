package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vblora.Golden;
import io.vblora.blas.Blas;
import io.vblora.kernels.Stream;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;

/**
 * A real pretrained Llama against reference.json: numbers of a float64 numpy model, checked against the original
 * program.
 */
class Stories260KTest {
    @Test
    void logitsLossAndGreedyContinuationAreTheReferences() throws Exception {
        Path folder = Golden.shared("data/stories260K-hf");
        try (Stream stream = Stream.cpu(2);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                LlamaModel model = LlamaModel.load(folder, null, stream)) {
            for (JsonNode reference : new ObjectMapper().readTree(folder.resolve("reference.json").toFile())) {
                int[] ids = ints(reference.get("input_ids"));
                double[] expected = StreamSupport.stream(reference.get("last_logits").spliterator(), false)
                        .mapToDouble(JsonNode::doubleValue).toArray();
                float[] last = lastLogits(model, execution, ids);
                double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
                for (int i = 0; i < expected.length; i++) {
                    assertEquals(expected[i], last[i], 1e-4 * largest);
                }
                double loss = model.lossSum(execution, TokenBatch.of(ids), ids) / (ids.length - 1);
                double nll = reference.get("mean_nll").doubleValue();
                assertEquals(nll, loss, 1e-5 * nll);

                int[] greedy = ints(reference.get("greedy_ids"));
                assertTrue(greedy.length > ids.length);
                assertArrayEquals(ids, Arrays.copyOf(greedy, ids.length));
                for (int n = ids.length; n < greedy.length; n++) {
                    assertEquals(greedy[n], argmax(lastLogits(model, execution, Arrays.copyOf(greedy, n))),
                            "token " + n);
                }
            }
        }
    }

    private static float[] lastLogits(LlamaModel model, Execution execution, int[] ids) {
        float[] all = model.logits(execution, TokenBatch.of(ids));
        return Arrays.copyOfRange(all, all.length - model.config().vocabSize(), all.length);
    }

    private static int argmax(float[] values) {
        int best = 0;
        for (int i = 1; i < values.length; i++) {
            best = values[i] > values[best] ? i : best;
        }
        return best;
    }

    private static int[] ints(JsonNode array) {
        return StreamSupport.stream(array.spliterator(), false).mapToInt(JsonNode::intValue).toArray();
    }
}
