package io.vblora.onnx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.onnx.OnnxValue.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What evaluating hostile graphs may cost; what operators compute is tested on whole encoders. */
class OnnxEvaluatorTest {
    @TempDir
    private Path folder;

    private final OnnxBuilder graph = new OnnxBuilder(17);
    private final String x = graph.input("x");

    /** The evaluator of the graph so far, with x [1, 2] = 3, 4. */
    private OnnxEvaluator evaluator() throws IOException {
        try (OnnxFile file = OnnxFile.open(Files.write(folder.resolve("x.onnx"), graph.build()))) {
            return new OnnxEvaluator(file, Map.of(x, OnnxValue.of(Kind.FLOAT, new double[] {3, 4}, 1, 2)));
        }
    }

    private static void assertRefused(OnnxEvaluator evaluator, String value, String part) {
        InputException e = assertThrows(InputException.class, () -> evaluator.value(value));
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    /** A thousand values of 2^20 numbers would be 8 GB. */
    @Test
    void doesNotHoldWhatLargeValuesAreMadeOf() throws IOException {
        String shape = graph.integers(1 << 19, 2);
        String first = graph.node("Expand", x, shape);
        String last = first;
        for (int i = 1; i < 1000; i++) {
            last = graph.node("Expand", x, shape);
        }
        String small = graph.node("Add", x, x);
        OnnxEvaluator evaluator = evaluator();
        assertArrayEquals(new long[] {1 << 19, 2}, evaluator.value(first).shape());
        assertRefused(evaluator, last, "more than 16777216 numbers");
        assertArrayEquals(new double[] {6, 8}, evaluator.value(small).data());
    }

    /** Names for the same numbers take no room. */
    @Test
    void holdsSharedNumbersOnce() throws IOException {
        String value = graph.node("Expand", x, graph.integers(1 << 19, 2));
        for (int i = 0; i < 1000; i++) {
            value = i % 2 == 0 ? graph.node("Identity", value) : graph.node("Reshape", value, graph.integers(2, -1));
        }
        assertEquals(4, evaluator().value(value).data()[(1 << 20) - 1]);
    }

    /** Products of sizes beside a 0 must not overflow. */
    @Test
    void refusesEmptyValuesOfVastSizes() throws IOException {
        graph.initialiser("vast", new float[0], 0, 1L << 60);
        String rows = graph.node("Gather", List.of("vast", graph.integers(0)), Map.of("axis", 0L));
        String wide = graph.node("Concat", List.of("vast", "vast", "vast", "vast", "vast", "vast", "vast", "vast"),
                Map.of("axis", 1L));
        String turned = graph.node("Transpose", "vast");
        OnnxEvaluator evaluator = evaluator();
        for (String value : List.of(rows, wide, turned)) {
            assertRefused(evaluator, value, "sizes of a model");
        }
    }
}
