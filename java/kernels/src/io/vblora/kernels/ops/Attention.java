package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_attention_backward;
import static io.vblora.kernels.global.vblora.vbl_attention_forward;
import static io.vblora.kernels.global.vblora.vbl_attention_scratch_bytes;

import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_attention;
import io.vblora.kernels.bindings.vbl_sequences;
import org.bytedeco.javacpp.Pointer;

/**
 * Scaled dot-product attention with grouped key/value heads. Shapes: q, out [tokens, heads · headDim], k, v [tokens,
 * kvHeads · headDim], all of one native floating-point type, on the CPU float32; lse [heads, tokens], float32. How the
 * tokens make sequences, {@link Sequences} says. k and v have the same row stride; a gradient has that of what it is
 * the gradient of. Immutable: threads may share it, each with its own stream and arena.
 */
public final class Attention {
    private final int heads;
    private final int kvHeads;
    private final int headDim;
    /** What native calls read, each thread's own. */
    private final ThreadLocal<Shape> shape;

    /** @param scale of the scores, usually 1 / sqrt(headDim) */
    public Attention(int heads, int kvHeads, int headDim, boolean causal, float scale) {
        NativeLibrary.load();
        this.heads = heads;
        this.kvHeads = kvHeads;
        this.headDim = headDim;
        this.shape = ThreadLocal.withInitial(() -> {
            vbl_attention attention = new vbl_attention();
            Pointer.memset(attention, 0, attention.sizeof());
            attention.heads(heads).kv_heads(kvHeads).head_dim(headDim).causal(causal ? 1 : 0).scale(scale);
            return new Shape(attention, attention.queries(), attention.keys());
        });
    }

    /**
     * out = softmax(scale · q kᵀ + mask) v, and lse for the backward pass. Scratch comes from the arena and goes back.
     */
    public void forward(Stream stream, Arena arena, Sequences sequences, Matrix q, Matrix k, Matrix v, Matrix out,
            Tensor lse) {
        forward(stream, arena, sequences, sequences, q, k, v, out, lse);
    }

    /**
     * The same where a sequence may have more keys than queries, which are then its last tokens: a causal attention
     * shows them all keys up to their own place. q, out and lse have rows of queries, k and v of keys.
     */
    public void forward(Stream stream, Arena arena, Sequences queries, Sequences keys, Matrix q, Matrix k, Matrix v,
            Matrix out, Tensor lse) {
        checkForward(stream, queries, keys, q, k, v, out, lse);
        long mark = arena.mark();
        Tensor scratch = scratch(stream, arena, queries, keys, q, k, out);
        stream.run(handle -> vbl_attention_forward(handle, placed(queries, keys), q.pointer(), k.pointer(),
                v.pointer(), out.pointer(), lse.pointer(), scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }

    /** dq, dk, dv from dout and what the forward pass saw and wrote. */
    public void backward(Stream stream, Arena arena, Sequences sequences, Matrix q, Matrix k, Matrix v, Matrix out,
            Tensor lse, Matrix dout, Matrix dq, Matrix dk, Matrix dv) {
        checkForward(stream, sequences, sequences, q, k, v, out, lse);
        checkLike(stream, "dout", dout, out);
        checkLike(stream, "dq", dq, q);
        checkLike(stream, "dk", dk, k);
        checkLike(stream, "dv", dv, v);
        long mark = arena.mark();
        Tensor scratch = scratch(stream, arena, sequences, sequences, q, k, out);
        stream.run(handle -> vbl_attention_backward(handle, placed(sequences, sequences), q.pointer(), k.pointer(),
                v.pointer(), out.pointer(), lse.pointer(), dout.pointer(), dq.pointer(), dk.pointer(), dv.pointer(),
                scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }

    private void checkForward(Stream stream, Sequences queries, Sequences keys, Matrix q, Matrix k, Matrix v,
            Matrix out, Tensor lse) {
        queries.check(stream);
        keys.check(stream);
        if (keys.size() != queries.size()) {
            throw new IllegalArgumentException("keys: found those of " + keys.size() + " sequences; expected "
                    + queries.size());
        }
        if (keys != queries && keys.tokens() < 1) {
            throw new IllegalArgumentException("keys: found no tokens; expected at least one");
        }
        long width = (long) heads * headDim;
        Check.nativeFloat(stream, "q", q, queries.tokens(), width);
        Check.elements(stream, "k", k, q.dtype(), keys.tokens(), (long) kvHeads * headDim);
        checkLike(stream, "v", v, k);
        Check.elements(stream, "out", out, q.dtype(), queries.tokens(), width);
        Check.floats(stream, "lse", lse, queries.tokens() * heads);
    }

    /** Requires a matrix as another one is. */
    private static void checkLike(Stream stream, String name, Matrix matrix, Matrix other) {
        Check.elements(stream, name, matrix, other.dtype(), other.rows(), other.columns());
        Check.rowStride(name, matrix, other.rowStride());
    }

    private Tensor scratch(Stream stream, Arena arena, Sequences queries, Sequences keys, Matrix q, Matrix k,
            Matrix out) {
        Shape own = shape.get();
        own.attention.batch(queries.size()).ldq(q.rowStride()).ldkv(k.rowStride()).ldout(out.rowStride())
                .dtype(q.dtype().nativeCode());
        own.queries.rows(queries.tokens()).length(queries.length());
        own.keys.rows(keys == queries ? 0 : keys.tokens()).length(keys == queries ? 0 : keys.length());
        return arena.take(DType.UINT8,
                stream.scratchBytes(handle -> vbl_attention_scratch_bytes(handle, own.attention)));
    }

    /** The shape, whose sizes {@link #scratch} has set, with the sequences' memory. */
    private vbl_attention placed(Sequences queries, Sequences keys) {
        Shape own = shape.get();
        place(queries, own.queries);
        if (keys != queries) { // else no rows of keys say that they are those of the queries
            place(keys, own.keys);
        }
        return own.attention;
    }

    private static void place(Sequences sequences, vbl_sequences to) {
        Pointer places = sequences.places().pointer();
        to.starts(sequences.packed() ? places : null).lengths(sequences.packed() ? null : places);
    }

    /** What native calls read; queries and keys are parts of attention. */
    private record Shape(vbl_attention attention, vbl_sequences queries, vbl_sequences keys) {}
}
