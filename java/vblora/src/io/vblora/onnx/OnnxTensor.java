package io.vblora.onnx;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.onnx.OnnxValue.Kind;
import io.vblora.weights.Reading;
import io.vblora.weights.WeightSource.Entry;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * A constant of the graph.
 *
 * @param path the file that holds it
 * @param entry its type, shape and place
 * @param bytes what the entry's offset refers to: a file, or memory if the tensor is not stored as plain bytes
 */
record OnnxTensor(Path path, Entry entry, Reading.Bytes bytes) {
    void readInto(String name, Tensor destination) {
        Reading.readInto(path, name, entry, bytes, destination);
    }

    Tensor readFloat32(String name) {
        return Reading.readFloat32(path, name, entry, bytes);
    }

    Kind kind() {
        return switch (entry.dtype()) {
            case FLOAT32, FLOAT64, FLOAT16, BFLOAT16 -> Kind.FLOAT;
            case BOOL -> Kind.BOOL;
            default -> Kind.INTEGER;
        };
    }

    /** Its numbers as float64; integers beyond 2^53 are rounded. */
    double[] numbers(String name) {
        boolean half = entry.dtype() == DType.FLOAT16 || entry.dtype() == DType.BFLOAT16;
        try (Tensor tensor = half ? readFloat32(name) : Reading.fill(
                Tensor.allocate(Device.CPU, entry.dtype(), entry.dimensions()), result -> readInto(name, result))) {
            ByteBuffer buffer = tensor.buffer(0, Math.toIntExact(tensor.bytes()));
            double[] numbers = new double[Math.toIntExact(tensor.elements())];
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = switch (tensor.dtype()) {
                    case FLOAT32 -> buffer.getFloat();
                    case FLOAT64 -> buffer.getDouble();
                    case INT64 -> buffer.getLong();
                    case INT32 -> buffer.getInt();
                    case INT16 -> buffer.getShort();
                    case INT8 -> buffer.get();
                    case UINT8, BOOL -> Byte.toUnsignedInt(buffer.get());
                    case FLOAT16, BFLOAT16 -> throw new AssertionError("read as float32");
                };
            }
            return numbers;
        }
    }
}
