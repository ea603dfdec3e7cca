package io.vblora.model.onnx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.RealEncoder;
import io.vblora.blas.Blas;
import io.vblora.data.Tokenizer;
import io.vblora.kernels.Prerequisite;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.Activation;
import io.vblora.model.BertModel;
import io.vblora.model.Execution;
import io.vblora.model.TokenBatch;
import io.vblora.model.config.BertConfig;
import io.vblora.model.config.Pooling;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Real encoders give what ONNX Runtime gives for the same file. */
@Tag("slow")
class OnnxRuntimeParityTest {
    /**
     * Rounding in float32 of hidden states, numbers of up to 6. ONNX Runtime with and without its graph optimisations
     * differs from itself by up to 7.4e-6 for the short texts and 1.2e-5 for those of 512 tokens.
     */
    private static final double STATE_TOLERANCE = 2e-5;
    /** The same for embeddings of length 1. */
    private static final double EMBEDDING_TOLERANCE = 1e-6;

    private static final List<String> SENTENCES = List.of(
            "Hello!",
            "I was charged twice for the same order; please send one of the payments back.",
            "The quick brown fox jumps over the lazy dog.",
            "Wie lange dauert eine Überweisung nach Österreich?",
            "Transfers between accounts of one bank usually arrive within seconds, but those to other banks can take "
                    + "up to two working days, and longer where public holidays or checks of the receiving bank "
                    + "intervene.");
    private static final List<String> PAIR =
            List.of("How do I change my PIN?", "At any cash machine, under settings, once you know the old one.");

    /** A batch of encoded texts. */
    private static TokenBatch batch(List<Tokenizer.Encoding> encodings) {
        return TokenBatch.of(encodings.stream().map(Tokenizer.Encoding::inputIds).toList(),
                encodings.stream().map(Tokenizer.Encoding::tokenTypeIds).toList());
    }

    private static TokenBatch shortTexts(Tokenizer tokenizer) {
        List<Tokenizer.Encoding> encodings = new ArrayList<>();
        SENTENCES.forEach(sentence -> encodings.add(tokenizer.encode(sentence, null, 512)));
        encodings.add(tokenizer.encode(PAIR.get(0), PAIR.get(1), 512));
        return batch(encodings);
    }

    private static TokenBatch longTexts(Tokenizer tokenizer, int repeat, int maxLength) {
        String text = String.join(" ", SENTENCES).repeat(repeat);
        return batch(List.of(tokenizer.encode(text, null, maxLength),
                tokenizer.encode(text.substring(text.length() / 2), PAIR.get(1), maxLength)));
    }

    /** Largest difference of a packed state from one that is padded. */
    private static double distance(TokenBatch rows, float[] expected, float[] found) {
        int hidden = expected.length / rows.size() / rows.longest();
        assertEquals(rows.tokens() * hidden, found.length);
        double max = 0;
        for (int row = 0; row < rows.size(); row++) {
            int start = rows.starts()[row] * hidden;
            int padded = row * rows.longest() * hidden;
            for (int i = 0; i < rows.length(row) * hidden; i++) {
                double difference = Math.abs((double) expected[padded + i] - found[start + i]);
                assertTrue(difference < Double.POSITIVE_INFINITY, "not a number at " + (start + i));
                max = Math.max(max, difference);
            }
        }
        return max;
    }

    /** Pools and normalises a padded state in float64. */
    private static double[] pooled(TokenBatch rows, float[] state, Pooling pooling) {
        int hidden = state.length / rows.size() / rows.longest();
        double[] result = new double[rows.size() * hidden];
        for (int row = 0; row < rows.size(); row++) {
            int tokens = pooling == Pooling.CLS ? 1 : rows.length(row);
            double squares = 0;
            for (int i = 0; i < hidden; i++) {
                double sum = 0;
                for (int token = 0; token < tokens; token++) {
                    sum += state[(row * rows.longest() + token) * hidden + i];
                }
                result[row * hidden + i] = sum / tokens;
                squares += sum / tokens * sum / tokens;
            }
            for (int i = 0; i < hidden; i++) {
                result[row * hidden + i] /= Math.sqrt(squares);
            }
        }
        return result;
    }

    @ParameterizedTest
    @EnumSource
    void givesWhatOnnxRuntimeGives(RealEncoder encoder) {
        Prerequisite.onClassPath("/ai/onnxruntime/OrtEnvironment.class");
        Pooling pooling = encoder == RealEncoder.BGE ? Pooling.CLS : Pooling.MEAN;
        try (Stream stream = Stream.cpu(2); Execution execution = new Execution(stream, Blas.on(stream.device()));
                BertModel model = BertModel.load(encoder.folder(), null, stream);
                Tokenizer tokenizer = Tokenizer.open(encoder.folder());
                OrtRun runtime = new OrtRun(encoder.folder().resolve("model.onnx"))) {
            for (TokenBatch rows : List.of(shortTexts(tokenizer), longTexts(tokenizer, 2, 512),
                    longTexts(tokenizer, 8, 512))) {
                float[] expected = runtime.output(rows);
                double distance = distance(rows, expected, model.lastHiddenState(execution, rows));
                double[] embeddings = pooled(rows, expected, pooling);
                float[] found = model.embeddings(execution, rows, pooling, true);
                double embeddingDistance = IntStream.range(0, found.length)
                        .mapToDouble(i -> Math.abs(embeddings[i] - found[i])).max().orElseThrow();
                System.out.printf("%s, %d texts of up to %d tokens: from ONNX Runtime's hidden states %.1e, from "
                        + "its embeddings %.1e%n", encoder, rows.size(), rows.longest(), distance,
                        embeddingDistance);
                assertTrue(distance <= STATE_TOLERANCE, () -> "hidden states: " + distance);
                assertTrue(embeddingDistance <= EMBEDDING_TOLERANCE, () -> "embeddings: " + embeddingDistance);
                assertEquals(embeddings.length, found.length);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void derivesTheConfigurationFromTheGraph(RealEncoder encoder) {
        // As the models' published config.json say.
        BertConfig expected = new BertConfig("bert", 384, encoder == RealEncoder.MINILM ? 6 : 12, 1e-12f,
                new BertConfig.Embeddings(30522, 0, 512, 0, 2), new BertConfig.Layer(12, 1536, Activation.GELU), 0.02);
        try (OnnxBert bert = OnnxBert.open(encoder.folder().resolve("model.onnx"))) {
            assertEquals(expected, bert.config());
            assertTrue(bert.pooling().isEmpty());
            assertEquals(5 + 16 * expected.numHiddenLayers(), bert.weights().names().size());
            assertArrayEquals(new long[] {1536, 384},
                    bert.weights().entry("encoder.layer.5.intermediate.dense.weight").dimensions());
        }
    }
}
