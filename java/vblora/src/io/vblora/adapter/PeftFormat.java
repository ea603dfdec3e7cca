package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.parameters.Floats;
import io.vblora.parameters.NamedTensors;
import io.vblora.weights.SafetensorsWriter;
import java.nio.ByteBuffer;
import java.util.function.Function;

/** An adapter's tensors as PEFT stores them: names, shapes, element types and values. */
final class PeftFormat {
    static final String WEIGHTS_FILE = "adapter_model.safetensors";

    private PeftFormat() {}

    /** The smallest type of PEFT's for an index below {@code numVectors}. */
    static DType indexDtype(int numVectors) {
        return numVectors < 1 << 8 ? DType.UINT8 : numVectors < 1 << 15 ? DType.INT16 : DType.INT32;
    }

    /** The composition's parameters that this way of storing needs; none for the selection alone. */
    static NamedTensors parameters(Adapter adapter, boolean saveOnlyTopkWeights, Stream stream) {
        if (!saveOnlyTopkWeights) {
            return adapter.composition().parameters(stream);
        }
        if (!(adapter.composition() instanceof VbLoraComposition)) {
            throw new InputException(adapter.config().source(), "save_only_topk_weights", "true",
                    "false: only VB-LoRA has top-k weights");
        }
        return new NamedTensors(stream.device());
    }

    /**
     * A writer of all tensors, which takes each when its turn has come.
     *
     * @param parameters of {@link #parameters}; it and the stream may be null if nothing is written
     */
    static SafetensorsWriter tensors(Adapter adapter, boolean saveOnlyTopkWeights, NamedTensors parameters,
            Stream stream) {
        if (!(adapter.composition() instanceof VbLoraComposition composition)) {
            return loraTensors(adapter, adapter::storedDtype, parameters, stream);
        }
        int h = ((VbLoraConfig) adapter.config()).numVectors();
        int k = ((VbLoraConfig) adapter.config()).topk();
        SafetensorsWriter writer = new SafetensorsWriter().metadata("format", "pt");
        // PEFT scatters top-k weights into float32 logits, which takes float32 alone.
        DType bankDtype = saveOnlyTopkWeights ? DType.FLOAT32 : adapter.storedDtype(PeftKeys.VECTOR_BANK);
        writer.add(PeftKeys.VECTOR_BANK, bankDtype, composition.bank().shape(),
                () -> convert(stream, composition.bank(), bankDtype));
        for (VbLoraComposition.LogitsBlock block : composition.blocks()) {
            DType dtype = adapter.storedDtype(block.name());
            if (saveOnlyTopkWeights) {
                writer.add(block.name() + PeftKeys.TOPK_INDICES, indexDtype(h), block.shape(k),
                        () -> narrowIndices(block.view(composition.indices(), k), indexDtype(h)));
                // Weights that PEFT stored are stored again as they are.
                boolean stored = !composition.trainable() && dtype == DType.FLOAT32;
                writer.add(block.name() + PeftKeys.TOPK_WEIGHTS, DType.FLOAT32, block.shape(k - 1),
                        () -> onCpu(dropLast(block.view(composition.weights(), k), stored)));
            } else {
                writer.add(block.name(), dtype, block.shape(h),
                        () -> convert(stream, parameters.get(block.name()), dtype));
            }
        }
        return addWhole(writer, adapter, adapter::storedDtype, stream);
    }

    private static SafetensorsWriter addWhole(SafetensorsWriter writer, Adapter adapter,
            Function<String, DType> dtypes, Stream stream) {
        WholeParameters whole = adapter.wholeParameters();
        whole.layout().tensors().forEach(entry -> writer.add(entry.name(), dtypes.apply(entry.name()),
                entry.dimensions(), () -> convert(stream, entry.view(whole.values()), dtypes.apply(entry.name()))));
        return writer;
    }

    /** The tensors of a LoRA adapter with this adapter's modules, rank and parameters held whole. */
    static SafetensorsWriter loraTensors(Adapter adapter, Function<String, DType> dtypes, NamedTensors parameters,
            Stream stream) {
        SafetensorsWriter writer = new SafetensorsWriter().metadata("format", "pt");
        for (AdaptedModule module : adapter.modules()) {
            String nameA = PeftKeys.loraA(module.path());
            String nameB = PeftKeys.loraB(module.path());
            writer.add(nameA, dtypes.apply(nameA), new long[] {module.r(), module.inFeatures()},
                    () -> convert(stream, parameters.get(nameA), dtypes.apply(nameA)));
            writer.add(nameB, dtypes.apply(nameB), new long[] {module.outFeatures(), module.r()},
                    () -> convert(stream, parameters.get(nameB), dtypes.apply(nameB)));
        }
        return addWhole(writer, adapter, dtypes, stream);
    }

    /** On the CPU and of that type: a view of the source, or a tensor of its own. Closing it leaves the source open. */
    private static Tensor convert(Stream stream, Tensor source, DType dtype) {
        if (dtype == source.dtype()) {
            return onCpu(source.reshape(source.shape()));
        }
        if (dtype == DType.FLOAT64) {
            Tensor result = Tensor.allocate(Device.CPU, dtype, source.shape());
            Floats.widen(source, result);
            return result;
        }
        Tensor result = Tensor.allocate(source.device(), dtype, source.shape());
        Memory.convert(stream, source, result);
        return onCpu(result);
    }

    /** The tensor itself if it lies on the CPU, else a copy, once the device has written it; tensor is then closed. */
    private static Tensor onCpu(Tensor tensor) {
        if (tensor.device().isCpu()) {
            return tensor;
        }
        try (tensor) {
            return Tensor.allocate(Device.CPU, tensor.dtype(), tensor.shape()).copyFrom(tensor);
        }
    }

    /** int32 [.., k] in a smaller type, which holds all of them. */
    private static Tensor narrowIndices(Tensor indices, DType dtype) {
        Tensor result = Tensor.allocate(Device.CPU, dtype, indices.shape());
        ByteBuffer to = result.buffer(0, Math.toIntExact(result.bytes()));
        for (int index : indices.toInts()) {
            switch (dtype) {
                case UINT8 -> to.put((byte) index);
                case INT16 -> to.putShort((short) index);
                default -> to.putInt(index);
            }
        }
        return result;
    }

    /**
     * [d0, d1, k] -> [d0, d1, k - 1], on the same device.
     *
     * @param asTheyAre otherwise weights that may leave less than nothing for the last one are scaled down
     */
    private static Tensor dropLast(Tensor weights, boolean asTheyAre) {
        int k = Math.toIntExact(weights.dimension(2));
        float[] all = weights.toFloats();
        float[] kept = new float[all.length / k * (k - 1)];
        for (int row = 0; row < all.length / k; row++) {
            System.arraycopy(all, row * k, kept, row * (k - 1), k - 1);
            if (!asTheyAre) {
                leaveSome(kept, row * (k - 1), k - 1);
            }
        }
        return Tensor.allocate(weights.device(), DType.FLOAT32, weights.dimension(0), weights.dimension(1), k - 1)
                .copyFrom(kept);
    }

    /**
     * Scales weights down whose float32 sum may come out above 1: PEFT takes the logarithm of one minus that sum. In
     * any order the n - 1 additions round, as the n products do, by half a unit in the last place below 1 at most.
     */
    private static void leaveSome(float[] weights, int first, int n) {
        double sum = 0;
        for (int i = first; i < first + n; i++) {
            sum += weights[i];
        }
        double most = 1 - n * 0x1p-24;
        if (n > 1 && sum > most) {
            for (int i = first; i < first + n; i++) {
                weights[i] = (float) (weights[i] * (most / sum));
            }
        }
    }
}
