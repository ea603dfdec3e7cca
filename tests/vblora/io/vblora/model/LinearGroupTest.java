package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.StepState;
import io.vblora.kernels.ops.Transformer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A group's outputs and gradients are those of the formula y = x Wᵀ + bias + (x Aᵀ) Bᵀ in float64, wherever its weights
 * lie and however they are stored, frozen and trained.
 */
class LinearGroupTest {
    private static final int ROWS = 3;
    private static final int IN = 6;
    private static final int[] OUTS = {5, 2, 3};

    /** How the weights are stored. */
    enum Storage { TOGETHER, APART, FAN_IN_FAN_OUT }

    private final List<Tensor> owned = new ArrayList<>();
    private final Random random = new Random(3);
    private int products;

    @AfterEach
    void close() {
        owned.forEach(Tensor::close);
    }

    private Tensor tensor(long... shape) {
        Tensor tensor = Tensor.allocate(Device.CPU, DType.FLOAT32, shape);
        owned.add(tensor);
        float[] values = new float[(int) tensor.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return tensor.copyFrom(values);
    }

    private LinearGroup group(Storage storage) {
        Tensor together = tensor(Arrays.stream(OUTS).sum(), IN);
        Linear[] members = new Linear[OUTS.length];
        int first = 0;
        for (int i = 0; i < OUTS.length; i++) {
            Tensor weight = switch (storage) {
                case TOGETHER -> together.view((long) first * IN, OUTS[i], IN);
                case APART -> tensor(OUTS[i], IN);
                case FAN_IN_FAN_OUT -> tensor(IN, OUTS[i]);
            };
            Parameter bias = i == 1 ? null : new Parameter("layer" + i + ".bias", tensor(OUTS[i]));
            String name = "layer" + i + ".weight";
            members[i] = new Linear("layer" + i, storage == Storage.FAN_IN_FAN_OUT ? Parameter.ofConv1d(name, weight)
                    : new Parameter(name, weight), bias);
            first += OUTS[i];
        }
        return storage == Storage.TOGETHER ? new LinearGroup(together, members) : new LinearGroup(members);
    }

    /** Element [out, in] of a member's weight. */
    private static double weight(Linear member, float[] values, int out, int in) {
        return member.fanInFanOut() ? values[in * (int) member.outFeatures() + out]
                : values[out * (int) member.inFeatures() + in];
    }

    @ParameterizedTest
    @EnumSource(Storage.class)
    void frozen(Storage storage) {
        check(storage, List.of());
        assertEquals(storage == Storage.TOGETHER ? 2 : 6, products);
    }

    @ParameterizedTest
    @EnumSource(Storage.class)
    void withAMemberThatIsTrainedWhole(Storage storage) {
        check(storage, List.of("layer0"));
    }

    private void check(Storage storage, List<String> modulesToSave) {
        LinearGroup group = group(storage);
        List<Linear> members = group.members();
        LoraConfig config = LoraConfig.builder().r(2).loraAlpha(3).targetModules(List.of("layer1", "layer2"))
                .modulesToSave(modulesToSave).build();
        try (Stream stream = Stream.cpu(2); Arena arena = Arena.on(Device.CPU);
                StepState step = new StepState(Device.CPU);
                Adapter adapter = Adapter.create(config, members.stream().map(Linear::shape).toList(),
                        members.stream().flatMap(member -> member.parameters().stream()).map(Parameter::offered)
                                .toList(), 0.02, stream, 1)) {
            arena.reserve(1 << 20);
            adapter.trainables().forEach(trainable -> trainable.enableTraining(stream));
            adapter.composition().packed().copyFrom(tensor(adapter.composition().packed().elements()).toFloats());
            adapter.wholeParameters().names().forEach(name -> adapter.wholeParameters().value(name).copyFrom(
                    tensor(adapter.wholeParameters().value(name).shape()).toFloats()));
            OneOrderBlas blas = new OneOrderBlas();
            Pass pass = new Pass(stream, arena, (on, a, transA, transB, left, right, beta, c, d) -> {
                products++;
                blas.gemm(on, a, transA, transB, left, right, beta, c, d);
            }, true, step.upload(stream), List.of(), new Updates(new Object(),
                    List.of(new AttachedAdapter(adapter, group.members()))));
            Rows rows = Rows.of(ROWS, 0);
            Tensor x = tensor(ROWS, IN);
            LinearGroup.Output output = group.forward(pass, rows, x);
            Tensor dall = tensor(output.all().shape());
            Tensor dx = tensor(ROWS, IN);
            float[] before = dx.toFloats();
            assertTrue(group.readsInput(pass));
            group.backward(pass, rows, x, output.reduced(), dall, dx, true);
            stream.synchronize();

            double[][] expectedDx = new double[ROWS][IN];
            for (int t = 0; t < ROWS; t++) {
                for (int j = 0; j < IN; j++) {
                    expectedDx[t][j] = before[t * IN + j];
                }
            }
            for (int i = 0; i < OUTS.length; i++) {
                Linear member = members.get(i);
                float[] w = pass.value(member.weight()).toFloats();
                float[] bias = member.bias() == null ? new float[OUTS[i]] : pass.value(member.bias()).toFloats();
                float[] a = adapter.module(member.path()).map(module -> module.a().toFloats()).orElse(new float[0]);
                float[] bt = adapter.module(member.path()).map(module -> module.bt().toFloats()).orElse(new float[0]);
                double scaling = 1.5;
                float[] y = output.all().toFloats();
                float[] dy = dall.toFloats();
                int width = Arrays.stream(OUTS).sum();
                int first = Arrays.stream(OUTS, 0, i).sum();
                double[][] dw = new double[OUTS[i]][IN];
                for (int t = 0; t < ROWS; t++) {
                    for (int o = 0; o < OUTS[i]; o++) {
                        double expected = bias[o];
                        for (int j = 0; j < IN; j++) {
                            double both = weight(member, w, o, j);
                            for (int r = 0; r < a.length / IN; r++) {
                                both += scaling * a[r * IN + j] * bt[r * OUTS[i] + o];
                            }
                            expected += both * x.getFloat((long) t * IN + j);
                            expectedDx[t][j] += both * dy[t * width + first + o];
                            dw[o][j] += (double) dy[t * width + first + o] * x.getFloat((long) t * IN + j);
                        }
                        assertEquals(expected, y[t * width + first + o], 1e-4, "output " + i);
                    }
                }
                assertEquals(modulesToSave.contains(member.path()), pass.trains(member.weight()));
                if (pass.trains(member.weight())) {
                    float[] found = pass.gradient(member.weight()).toFloats();
                    for (int o = 0; o < OUTS[i]; o++) {
                        for (int j = 0; j < IN; j++) {
                            assertEquals(dw[o][j], weight(member, found, o, j), 1e-4, "weight " + i);
                        }
                    }
                }
            }
            for (int i = 0; i < ROWS * IN; i++) {
                assertEquals(expectedDx[i / IN][i % IN], dx.getFloat(i), 1e-4, "dx");
            }
        }
    }

    /** Square weights would pass for [out, in] by their shape. */
    @Test
    void jointWeightsAreRefusedOfLayersStoredTheOtherWay() {
        Tensor weight = tensor(IN, IN);
        Linear square = new Linear("layer", Parameter.ofConv1d("layer.weight", weight), null);
        assertThrows(IllegalArgumentException.class, () -> new LinearGroup(weight, square));
        assertTrue(new LinearGroup(square).members().get(0).weight().offered().fanInFanOut());
        assertTrue(square.shape().fanInFanOut());
    }

    /** What the product leaves is completed by activate: the bits of a bias and then an activation. */
    @ParameterizedTest
    @EnumSource(Activation.class)
    void activates(Activation activation) {
        LinearGroup group = new LinearGroup(new Linear("layer", new Parameter("layer.weight", tensor(4, IN)),
                new Parameter("layer.bias", tensor(4))));
        try (Stream stream = Stream.cpu(1); Arena arena = Arena.on(Device.CPU)) {
            arena.reserve(1 << 20);
            Pass pass = new Pass(stream, arena, new OneOrderBlas(), false, null, List.of(),
                    new Updates(new Object(), List.of()));
            Rows rows = Rows.of(ROWS, TokenBatch.NO_ADAPTER);
            Tensor x = tensor(ROWS, IN);
            Tensor expected = group.forward(pass, rows, x).all();
            LinearGroup.Output product = group.product(pass, rows, x);
            Tensor activated = arena.floats(ROWS, 4);
            group.activate(pass, rows, product, activation, activated);
            assertArrayEquals(expected.toFloats(), product.all().toFloats());
            Tensor separately = arena.floats(ROWS, 4);
            Transformer.biasActivationForward(stream, activation, null, Matrix.of(expected),
                    Matrix.of(separately));
            assertArrayEquals(separately.toFloats(), activated.toFloats());
            assertFalse(group.readsInput(pass));
        }
    }
}
