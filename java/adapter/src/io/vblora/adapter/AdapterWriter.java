package io.vblora.adapter;

import io.vblora.adapter.peft.StoredForm;
import io.vblora.adapter.peft.StoredTensor;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.parameters.FloatTensors;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterLayout;
import io.vblora.weights.SafetensorsWriter;
import java.util.List;
import java.util.function.Function;

/**
 * Writes an adapter's tensors as PEFT stores them, in one of its method's forms, and says how many bytes that takes.
 */
final class AdapterWriter {
    private AdapterWriter() {}

    /**
     * A writer of all tensors, which fetches each tensor when its turn comes.
     *
     * @param updates the tensors of the form; they and the stream may be null if nothing is written
     */
    static SafetensorsWriter of(Adapter adapter, StoredForm form, NamedTensors updates, Stream stream) {
        return of(adapter, adapter.config().stored(shapes(adapter), form), adapter::storedDtype, updates, stream);
    }

    /** Bytes of a float32 LoRA adapter with this adapter's modules, ranks and parameters held whole. */
    static long bytesOfLora(Adapter adapter) {
        ParameterLayout layout = PackedLayout.of(adapter.config(), shapes(adapter));
        return of(adapter, StoredTensor.of(layout), name -> DType.FLOAT32, null, null).bytes();
    }

    private static List<ModuleShape> shapes(Adapter adapter) {
        return adapter.modules().stream().map(AdaptedModule::shape).toList();
    }

    /** @param dtypes the types in which parameters are stored, by name */
    private static SafetensorsWriter of(Adapter adapter, List<StoredTensor> tensors, Function<String, DType> dtypes,
            NamedTensors updates, Stream stream) {
        SafetensorsWriter writer = new SafetensorsWriter().metadata("format", "pt");
        for (StoredTensor tensor : tensors) {
            DType dtype = tensor.dtype() == null ? dtypes.apply(tensor.name()) : tensor.dtype();
            writer.add(tensor.name(), dtype, tensor.dimensions(),
                    () -> convert(stream, updates.get(tensor.name()), dtype));
        }
        WholeParameters whole = adapter.wholeParameters();
        whole.layout().tensors().forEach(entry -> writer.add(entry.name(), dtypes.apply(entry.name()),
                entry.dimensions(), () -> convert(stream, entry.view(whole.values()), dtypes.apply(entry.name()))));
        return writer;
    }

    /** A view or a copy of the source, on the CPU and of that type. Closing it leaves the source open. */
    private static Tensor convert(Stream stream, Tensor source, DType dtype) {
        if (dtype == source.dtype()) {
            return onCpu(source.reshape(source.shape()));
        }
        if (dtype == DType.FLOAT64) {
            Tensor result = Tensor.allocate(Device.CPU, dtype, source.shape());
            FloatTensors.widen(source, result);
            return result;
        }
        Tensor result = Tensor.allocate(source.device(), dtype, source.shape());
        Memory.convert(stream, source, result);
        return onCpu(result);
    }

    /**
     * The tensor itself if it lies on the CPU; else a copy, once the device has written it, and the tensor is closed.
     */
    private static Tensor onCpu(Tensor tensor) {
        if (tensor.device().isCpu()) {
            return tensor;
        }
        try (tensor) {
            return Tensor.allocate(Device.CPU, tensor.dtype(), tensor.shape()).copyFrom(tensor);
        }
    }
}
