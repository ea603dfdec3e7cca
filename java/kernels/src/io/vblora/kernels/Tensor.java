package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.vbl_free;
import static io.vblora.kernels.global.vblora.vbl_malloc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * Dense, row-major memory of one device: pointer, shape and element type. A tensor made by {@link #allocate} owns its
 * memory and frees it in {@link #close()}, never through the garbage collector. A {@link #view} owns nothing and is
 * closed with the tensor whose memory it shows; what {@link #wrap} gives owns nothing and must not outlive the memory.
 * A closed tensor has a shape, but whatever needs its memory throws {@link IllegalStateException}. Not thread-safe.
 */
public final class Tensor implements AutoCloseable {
    /** Memory at an address, without owner or bounds. */
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
    /** Whether close() frees the memory. */
    private final boolean owning;
    /** The tensor that this one is a view of, directly or not; this one itself if it is none. */
    private final Tensor root;
    /** Whether this comes from a planning arena and never had memory. */
    private final boolean planned;
    /** Null when closed or planned. */
    private Pointer pointer;

    private Tensor(Device device, DType dtype, long[] shape, Pointer pointer, boolean owning, Tensor root) {
        this.device = device;
        this.dtype = dtype;
        this.shape = shape;
        this.elements = count(shape);
        this.planned = pointer == null;
        this.pointer = pointer;
        this.owning = owning;
        this.root = root == null ? this : root;
    }

    /**
     * Allocates a tensor filled with zeros.
     *
     * @throws KernelException if the memory is not to be had
     */
    public static Tensor allocate(Device device, DType dtype, long... shape) {
        NativeLibrary.load();
        long bytes = Math.multiplyExact(count(shape), dtype.bytes());
        Pointer pointer = new Pointer();
        KernelException.check(vbl_malloc(device.index(), bytes, pointer));
        Pointer.memset(pointer, 0, bytes);
        return new Tensor(device, dtype, shape.clone(), new RawPointer(pointer.address()), true, null);
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

    /** A tensor over memory that somebody else owns. */
    public static Tensor wrap(Device device, DType dtype, Pointer memory, long... shape) {
        long address = memory.address() + memory.position() * memory.sizeof();
        return new Tensor(device, dtype, shape.clone(), new RawPointer(address), false, null);
    }

    /** A tensor without memory: for planning. */
    static Tensor imaginary(Device device, DType dtype, long... shape) {
        return new Tensor(device, dtype, shape.clone(), null, false, null);
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
        return new Tensor(device, dtype, viewShape.clone(), start, false, root);
    }

    /** A tensor of another type over some bytes. It is no view: whoever takes it closes it before this one. */
    Tensor piece(long firstByte, DType pieceType, long... pieceShape) {
        Pointer start = new RawPointer(pointer().address() + firstByte);
        return new Tensor(device, pieceType, pieceShape.clone(), start, false, null);
    }

    /** The same memory in another shape of as many elements. */
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
     * @throws IllegalStateException if it is closed, or comes from a planning arena and has no memory
     */
    public Pointer pointer() {
        if (pointer == null || root.pointer == null) {
            throw new IllegalStateException(planned ? "The tensor is of a planning arena and has no memory"
                    : "The tensor is closed: it, the tensor that it is a view of, or its arena");
        }
        return pointer;
    }

    /** Fills with zeros. CPU tensors only. */
    public Tensor zero() {
        Pointer.memset(host(), 0, bytes());
        return this;
    }

    /** Copies all elements from an array of the same length; float32 CPU tensors. */
    public Tensor copyFrom(float... values) {
        expect(DType.FLOAT32, values.length);
        new FloatPointer(host()).put(values);
        return this;
    }

    /** Copies the first elements from an array that is not longer than the tensor; int32 CPU tensors. */
    public Tensor copyFrom(int... values) {
        if (dtype != DType.INT32 || values.length > elements) {
            throw mismatch(DType.INT32, values.length);
        }
        new IntPointer(host()).put(values);
        return this;
    }

    /** Copies all bytes from a tensor of the same type and number of elements; both on the CPU. */
    public Tensor copyFrom(Tensor source) {
        if (source.dtype != dtype || source.elements != elements) {
            throw mismatch(source.dtype, source.elements);
        }
        Pointer.memcpy(host(), source.host(), bytes());
        return this;
    }

    /** All elements of a float32 CPU tensor. */
    public float[] toFloats() {
        expect(DType.FLOAT32, elements);
        float[] values = new float[Math.toIntExact(elements)];
        new FloatPointer(host()).get(values);
        return values;
    }

    /** All elements of an int32 CPU tensor. */
    public int[] toInts() {
        expect(DType.INT32, elements);
        int[] values = new int[Math.toIntExact(elements)];
        new IntPointer(host()).get(values);
        return values;
    }

    /** All elements of a float64 CPU tensor. */
    public double[] toDoubles() {
        expect(DType.FLOAT64, elements);
        double[] values = new double[Math.toIntExact(elements)];
        new DoublePointer(host()).get(values);
        return values;
    }

    /** One element of a float32 CPU tensor. */
    public float getFloat(long i) {
        expect(DType.FLOAT32, elements);
        return new FloatPointer(host()).get(checkIndex(i));
    }

    /** Sets one element of a float32 CPU tensor. */
    public void setFloat(long i, float value) {
        expect(DType.FLOAT32, elements);
        new FloatPointer(host()).put(checkIndex(i), value);
    }

    /** One element of an int64 CPU tensor. */
    public long getLong(long i) {
        expect(DType.INT64, elements);
        return new LongPointer(host()).get(checkIndex(i));
    }

    /**
     * The bytes of a CPU tensor in native order; at most 2^31 - 1 from {@code offset}. Valid until {@link #close()}.
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
            if (owning) {
                KernelException.check(vbl_free(device.index(), memory));
            }
        }
    }

    @Override
    public String toString() {
        return dtype + Arrays.toString(shape) + " on " + device;
    }

    private Pointer host() {
        if (!device.isCpu()) {
            throw new IllegalStateException("Memory of " + device + " cannot be read or written from Java");
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
