package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.VBL_HOST_PINNED;
import static io.vblora.kernels.global.vblora.vbl_free;
import static io.vblora.kernels.global.vblora.vbl_malloc;
import static io.vblora.kernels.global.vblora.vbl_memcpy_blocking;
import static io.vblora.kernels.global.vblora.vbl_memset_blocking;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.function.Consumer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * Dense, row-major memory of one device: pointer, shape and element type. A tensor made by {@link #allocate} owns its
 * memory and frees it in {@link #close()}, never through the garbage collector. A {@link #view} owns nothing and is
 * closed together with the tensor whose memory it shows; the result of {@link #wrap} owns nothing and must not outlive
 * the memory. A closed tensor still has a shape, but whatever needs its memory throws {@link IllegalStateException}.
 * Not thread-safe.
 *
 * <p>Elements can be read and written from Java on every device: on a CUDA device each such call first waits for all of
 * the device's work, then copies. That is meant for set-up and results; inside a loop, {@link
 * io.vblora.kernels.ops.Memory} copies in a stream's order.
 */
public final class Tensor implements AutoCloseable {
    /** Memory at an address, without an owner or bounds. */
    private static final class RawPointer extends Pointer {
        RawPointer(long address) {
            super((Pointer) null);
            this.address = address;
        }
    }

    private final Device device;
    private final DType dtype;
    private final long[] shape;
    private final long elements;
    /** The kind of memory requested from vbl_malloc, if close() frees the memory; otherwise null. */
    private final Integer allocation;
    /** The tensor that this one is a view of, directly or indirectly; this one itself if it is not a view. */
    private final Tensor root;
    /** Whether this comes from a planning arena and never had any memory. */
    private final boolean planned;
    /** Null when closed or planned. */
    private Pointer pointer;

    private Tensor(Device device, DType dtype, long[] shape, Pointer pointer, Integer allocation, Tensor root) {
        this.device = device;
        this.dtype = dtype;
        this.shape = shape;
        this.elements = count(shape);
        this.planned = pointer == null;
        this.pointer = pointer;
        this.allocation = allocation;
        this.root = root == null ? this : root;
    }

    /**
     * Allocates a tensor filled with zeros.
     *
     * @throws KernelException if the memory is not available
     */
    public static Tensor allocate(Device device, DType dtype, long... shape) {
        return allocate(device, device.index(), dtype, shape);
    }

    /**
     * Allocates a CPU tensor filled with zeros in page-locked memory, to and from which CUDA devices can copy without
     * holding up the host.
     *
     * @throws KernelException if there is no CUDA device or the memory is not available
     */
    public static Tensor pinned(DType dtype, long... shape) {
        return allocate(Device.CPU, VBL_HOST_PINNED, dtype, shape);
    }

    private static Tensor allocate(Device device, int allocation, DType dtype, long... shape) {
        NativeLibrary.load();
        long bytes = Math.multiplyExact(count(shape), dtype.bytes());
        Pointer pointer = new Pointer();
        KernelException.check(vbl_malloc(allocation, bytes, pointer));
        Tensor tensor = new Tensor(device, dtype, shape.clone(), new RawPointer(pointer.address()), allocation, null);
        try {
            return tensor.zero();
        } catch (RuntimeException | Error e) {
            tensor.close();
            throw e;
        }
    }

    /** A float32 CPU tensor with these values. */
    public static Tensor of(float[] values, long... shape) {
        checkCount(values.length, shape);
        return allocate(Device.CPU, DType.FLOAT32, shape).copyFrom(values);
    }

    /** An int32 CPU tensor with these values. */
    public static Tensor of(int[] values, long... shape) {
        checkCount(values.length, shape);
        return allocate(Device.CPU, DType.INT32, shape).copyFrom(values);
    }

    private static void checkCount(int values, long[] shape) {
        if (count(shape) != values) {
            throw new IllegalArgumentException(values + " values do not make a tensor of shape "
                    + Arrays.toString(shape));
        }
    }

    /**
     * A tensor over memory that somebody else owns. It keeps only the address: a {@code memory} that frees its memory
     * when it is collected must be kept reachable.
     */
    public static Tensor wrap(Device device, DType dtype, Pointer memory, long... shape) {
        long address = memory.address() + memory.position() * memory.sizeof();
        return new Tensor(device, dtype, shape.clone(), new RawPointer(address), null, null);
    }

    /** A tensor without memory: for planning. */
    static Tensor imaginary(Device device, DType dtype, long... shape) {
        return new Tensor(device, dtype, shape.clone(), null, null, null);
    }

    static long count(long[] shape) {
        long n = 1;
        for (long dimension : shape) {
            if (dimension < 0) {
                throw new IllegalArgumentException("A dimension is negative: " + Arrays.toString(shape));
            }
            n = Math.multiplyExact(n, dimension);
        }
        return n;
    }

    /** A tensor over the same memory that begins at an element and has its own shape. It is closed with this one. */
    public Tensor view(long firstElement, long... viewShape) {
        long n = count(viewShape);
        if (firstElement < 0 || firstElement > elements - n) {
            throw new IllegalArgumentException("A view of " + n + " elements from " + firstElement
                    + " does not lie in a tensor of " + elements);
        }
        Pointer start = planned ? null : new RawPointer(pointer().address() + firstElement * dtype.bytes());
        return new Tensor(device, dtype, viewShape.clone(), start, null, root);
    }

    /**
     * A tensor of another type over some of the bytes. It is not a view: whoever takes it closes it before this one.
     */
    Tensor piece(long firstByte, DType pieceType, long... pieceShape) {
        Pointer start = new RawPointer(pointer().address() + firstByte);
        return new Tensor(device, pieceType, pieceShape.clone(), start, null, null);
    }

    /** The same memory in another shape with as many elements. */
    public Tensor reshape(long... newShape) {
        if (count(newShape) != elements) {
            throw new IllegalArgumentException("Shape " + Arrays.toString(shape) + " cannot become "
                    + Arrays.toString(newShape));
        }
        return view(0, newShape);
    }

    public Device device() {
        return device;
    }

    public DType dtype() {
        return dtype;
    }

    public long[] shape() {
        return shape.clone();
    }

    public int rank() {
        return shape.length;
    }

    /** Size of one dimension. */
    public long dimension(int i) {
        return shape[i];
    }

    public boolean hasShape(long... expected) {
        return Arrays.equals(shape, expected);
    }

    public long elements() {
        return elements;
    }

    public long bytes() {
        return elements * dtype.bytes();
    }

    /**
     * The memory. Valid until this tensor, or the one that it is a view of, is closed.
     *
     * @throws IllegalStateException if this is closed, or comes from a planning arena and has no memory
     */
    public Pointer pointer() {
        if (pointer == null || root.pointer == null) {
            throw new IllegalStateException(planned ? "The tensor is of a planning arena and has no memory"
                    : "The tensor is closed: it, the tensor that it is a view of, or its arena");
        }
        return pointer;
    }

    /** Fills with zeros. */
    public Tensor zero() {
        KernelException.check(vbl_memset_blocking(device.index(), pointer(), 0, bytes()));
        return this;
    }

    /** Copies all elements from an array of the same length; float32 tensors. */
    public Tensor copyFrom(float... values) {
        expect(DType.FLOAT32, values.length);
        write(values.length, host -> new FloatPointer(host).put(values));
        return this;
    }

    /** Copies the first elements from an array that is not longer than the tensor; int32 tensors. */
    public Tensor copyFrom(int... values) {
        if (dtype != DType.INT32 || values.length > elements) {
            throw mismatch(DType.INT32, values.length);
        }
        write(values.length, host -> new IntPointer(host).put(values));
        return this;
    }

    /** Copies all bytes from a tensor of the same type and number of elements, on this tensor's device or the CPU. */
    public Tensor copyFrom(Tensor source) {
        if (source.dtype != dtype || source.elements != elements) {
            throw mismatch(source.dtype, source.elements);
        }
        if (!device.isCpu() && !source.device.isCpu() && !device.equals(source.device)) {
            throw new IllegalArgumentException("A tensor on " + device + " cannot be copied from one on "
                    + source.device + ": copy to the CPU first");
        }
        copy(device.isCpu() ? source.device : device, pointer(), source.pointer(), bytes());
        return this;
    }

    /** All elements of a float32 tensor. */
    public float[] toFloats() {
        expect(DType.FLOAT32, elements);
        float[] values = new float[Math.toIntExact(elements)];
        read(0, elements, host -> new FloatPointer(host).get(values));
        return values;
    }

    /** All elements of an int32 tensor. */
    public int[] toInts() {
        expect(DType.INT32, elements);
        int[] values = new int[Math.toIntExact(elements)];
        read(0, elements, host -> new IntPointer(host).get(values));
        return values;
    }

    /** All elements of a float64 tensor. */
    public double[] toDoubles() {
        expect(DType.FLOAT64, elements);
        double[] values = new double[Math.toIntExact(elements)];
        read(0, elements, host -> new DoublePointer(host).get(values));
        return values;
    }

    /** One element of a float32 tensor. */
    public float getFloat(long i) {
        expect(DType.FLOAT32, elements);
        float[] value = new float[1];
        read(checkIndex(i), 1, host -> value[0] = new FloatPointer(host).get());
        return value[0];
    }

    /** Sets one element of a float32 tensor. */
    public void setFloat(long i, float value) {
        expect(DType.FLOAT32, elements);
        view(checkIndex(i), 1).write(1, host -> new FloatPointer(host).put(value));
    }

    /** One element of an int64 tensor. */
    public long getLong(long i) {
        expect(DType.INT64, elements);
        long[] value = new long[1];
        read(checkIndex(i), 1, host -> value[0] = new LongPointer(host).get());
        return value[0];
    }

    /** Lets {@code reader} read n elements, beginning with {@code first}, in host memory. */
    private void read(long first, long n, Consumer<Pointer> reader) {
        Pointer from = new RawPointer(pointer().address() + first * dtype.bytes());
        if (device.isCpu()) {
            reader.accept(from);
            return;
        }
        try (BytePointer staging = new BytePointer(n * dtype.bytes())) {
            copy(device, staging, from, n * dtype.bytes());
            reader.accept(staging);
        }
    }

    /** Lets {@code writer} write the first n elements in host memory. */
    private void write(long n, Consumer<Pointer> writer) {
        if (device.isCpu()) {
            writer.accept(pointer());
            return;
        }
        try (BytePointer staging = new BytePointer(n * dtype.bytes())) {
            writer.accept(staging);
            copy(device, pointer(), staging, n * dtype.bytes());
        }
    }

    private static void copy(Device device, Pointer destination, Pointer source, long bytes) {
        KernelException.check(vbl_memcpy_blocking(device.index(), destination, source, bytes));
    }

    /**
     * The bytes of a CPU tensor in native order, at most 2^31 - 1 of them from {@code offset} on. Valid until {@link
     * #close()}.
     */
    public ByteBuffer buffer(long offset, int length) {
        if (offset < 0 || length < 0 || offset > bytes() - length) {
            throw new IllegalArgumentException(length + " bytes from " + offset + " do not lie in a tensor of "
                    + bytes() + " bytes");
        }
        return new BytePointer(new RawPointer(host().address() + offset)).capacity(length).asByteBuffer()
                .order(ByteOrder.nativeOrder());
    }

    /** Frees the memory if this tensor owns it. Calling it again does nothing. */
    @Override
    public void close() {
        if (pointer != null) {
            Pointer memory = pointer;
            pointer = null;
            if (allocation != null) {
                KernelException.check(vbl_free(allocation, memory));
            }
        }
    }

    @Override
    public String toString() {
        return dtype + Arrays.toString(shape) + " on " + device;
    }

    private Pointer host() {
        if (!device.isCpu()) {
            throw new IllegalStateException("Memory of " + device + " is not in the host's address space");
        }
        return pointer();
    }

    private long checkIndex(long i) {
        if (i < 0 || i >= elements) {
            throw new IndexOutOfBoundsException("Element " + i + " of " + elements);
        }
        return i;
    }

    private void expect(DType expected, long length) {
        if (dtype != expected || length != elements) {
            throw mismatch(expected, length);
        }
    }

    private IllegalArgumentException mismatch(DType found, long length) {
        return new IllegalArgumentException("The tensor holds " + elements + " of " + dtype + ", not " + length + " of "
                + found);
    }
}
