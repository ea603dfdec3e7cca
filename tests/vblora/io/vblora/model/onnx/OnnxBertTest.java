package io.vblora.model.onnx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.blas.Blas;
import io.vblora.kernels.Prerequisite;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.BertModel;
import io.vblora.model.Execution;
import io.vblora.model.PaddedRows;
import io.vblora.model.TokenBatch;
import io.vblora.model.onnx.TinyOnnx.Output;
import io.vblora.model.onnx.TinyOnnx.Style;
import io.vblora.model.onnx.TinyOnnx.Types;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Encoders in the words of different exporters are read for what they are: ONNX Runtime, which runs the graph itself,
 * gives what the model gives that was read from it.
 */
class OnnxBertTest {
    /** Rounding in float32 of numbers of up to 4, 8 of them in a row, through two layers. */
    private static final double TOLERANCE = 2e-5;

    @TempDir
    private Path folder;

    /** One style for each word that differs from PyTorch's, by itself. */
    static List<Style> styles() {
        Style s = Style.TORCH;
        List<Style> styles = new ArrayList<>(List.of(s));
        for (int opset : new int[] {11, 13, 18, 20}) {
            styles.add(new Style(opset, s.norm(), s.dense(), s.act(), s.scale(), s.mask(), s.heads(), s.positions(),
                    s.types(), Output.MEAN_NORMALISED, s.stored()));
        }
        for (TinyOnnx.Norm norm : TinyOnnx.Norm.values()) {
            styles.add(new Style(17, norm, s.dense(), s.act(), s.scale(), s.mask(), s.heads(), s.positions(), s.types(),
                    s.output(), s.stored()));
        }
        for (TinyOnnx.Dense dense : TinyOnnx.Dense.values()) {
            styles.add(new Style(14, s.norm(), dense, s.act(), s.scale(), s.mask(), s.heads(), s.positions(), s.types(),
                    Output.POOLER, s.stored()));
        }
        for (TinyOnnx.Act act : TinyOnnx.Act.values()) {
            styles.add(new Style(20, s.norm(), s.dense(), act, s.scale(), s.mask(), s.heads(), s.positions(), s.types(),
                    s.output(), s.stored()));
        }
        for (TinyOnnx.Scale scale : TinyOnnx.Scale.values()) {
            styles.add(new Style(14, s.norm(), s.dense(), s.act(), scale, s.mask(), s.heads(), s.positions(), s.types(),
                    s.output(), s.stored()));
        }
        for (TinyOnnx.Mask mask : TinyOnnx.Mask.values()) {
            styles.add(new Style(14, s.norm(), s.dense(), s.act(), s.scale(), mask, s.heads(), s.positions(), s.types(),
                    s.output(), s.stored()));
        }
        for (TinyOnnx.Heads heads : TinyOnnx.Heads.values()) {
            styles.add(new Style(14, s.norm(), s.dense(), s.act(), s.scale(), s.mask(), heads, s.positions(), s.types(),
                    s.output(), s.stored()));
        }
        for (TinyOnnx.Positions positions : TinyOnnx.Positions.values()) {
            styles.add(new Style(14, s.norm(), s.dense(), s.act(), s.scale(), s.mask(), s.heads(), positions, s.types(),
                    s.output(), s.stored()));
        }
        for (Types types : Types.values()) {
            styles.add(new Style(14, s.norm(), s.dense(), s.act(), s.scale(), s.mask(), s.heads(), s.positions(), types,
                    s.output(), s.stored()));
        }
        for (Output output : Output.values()) {
            styles.add(new Style(14, s.norm(), s.dense(), s.act(), s.scale(), s.mask(), s.heads(), s.positions(),
                    s.types(), output, s.stored()));
        }
        for (TinyOnnx.Stored stored : TinyOnnx.Stored.values()) {
            styles.add(new Style(14, s.norm(), s.dense(), s.act(), s.scale(), s.mask(), s.heads(), s.positions(),
                    s.types(), s.output(), stored));
        }
        return styles;
    }

    @ParameterizedTest
    @MethodSource("styles")
    void readsEachStyle(Style style) throws IOException {
        check(style, 1);
    }

    @RepeatedTest(20)
    void readsMixedStyles(RepetitionInfo repetition) throws IOException {
        long seed = repetition.getCurrentRepetition();
        check(Style.random(new Random(seed)), seed);
    }

    @ParameterizedTest
    @EnumSource
    void refusesOtherGraphs(TinyOnnx.Fault fault) throws IOException {
        Path file = Files.write(folder.resolve("model.onnx"), new TinyOnnx(Style.TORCH, 1, fault).bytes());
        InputException e = assertThrows(InputException.class, () -> OnnxBert.open(file));
        assertEquals(file.toString(), e.source());
        assertTrue(e.getMessage().contains(fault.message), e.getMessage());
    }

    private void check(Style style, long seed) throws IOException {
        TinyOnnx tiny = new TinyOnnx(style, seed);
        Path file = Files.write(folder.resolve("model.onnx"), tiny.bytes());
        String about = style + ", seed " + seed;
        try (OnnxBert bert = OnnxBert.open(file)) {
            assertEquals(tiny.config(), bert.config(), about);
            assertEquals(Optional.ofNullable(style.pooling()), bert.pooling(), about);
            assertEquals(tiny.weights().keySet(), bert.weights().names(), about);
            for (String name : bert.weights().names()) {
                try (Tensor tensor = bert.weights().readFloat32(name); Tensor stored = bert.weights().read(name)) {
                    assertArrayEquals(tiny.shapes().get(name), tensor.shape(), name);
                    assertArrayEquals(tiny.weights().get(name), tensor.toFloats(), () -> name + ", " + about);
                    assertArrayEquals(tensor.shape(), stored.shape(), name);
                }
            }
        }

        Prerequisite.onClassPath("/ai/onnxruntime/OrtEnvironment.class");
        int[] ids = {2, 5, 19, 7, 3, 4, 6, 1, 1, 1, 8, 9, 10, 11, 12};
        int[] types = {0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0};
        TokenBatch rows = PaddedRows.batch(5, ids, style.types() == Types.INPUT ? types : new int[15],
                new int[] {5, 2, 4});
        try (Stream stream = Stream.cpu(1); Execution execution = new Execution(stream, Blas.on(stream.device()));
                BertModel model = BertModel.load(file, null, stream); OrtRun runtime = new OrtRun(file)) {
            float[] expected = runtime.output(rows);
            boolean state = style.output() == Output.STATE;
            float[] found = state ? model.lastHiddenState(execution, rows)
                    : model.embeddings(execution, rows, model.defaultPooling(), style.isNormalised());
            int vectors = state ? rows.tokens() : rows.size();
            assertEquals((state ? 15 : 3) * TinyOnnx.HIDDEN, expected.length, about);
            assertEquals(vectors * TinyOnnx.HIDDEN, found.length, about);
            int[] places = state ? PaddedRows.pack(5, IntStream.range(0, 15).toArray(), new int[] {5, 2, 4})
                    : new int[] {0, 1, 2};
            for (int i = 0; i < found.length; i++) {
                int there = places[i / TinyOnnx.HIDDEN] * TinyOnnx.HIDDEN + i % TinyOnnx.HIDDEN;
                assertTrue(Math.abs(expected[there] - found[i]) <= TOLERANCE,
                        () -> about + ": " + Arrays.toString(expected) + " " + Arrays.toString(found));
            }
        }
    }
}
