package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_attention_backward;
import static io.vblora.kernels.global.vblora.vbl_attention_forward;
import static io.vblora.kernels.global.vblora.vbl_attention_scratch_bytes;

import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_attention;

/**
 * Scaled dot-product attention with grouped key/value heads. Shapes: q, out [tokens, heads · headDim], k, v [tokens,
 * kvHeads · headDim], lse [size, heads, length], all float32; how the tokens make sequences, {@link Sequences} says.
 * Immutable: threads may share it, each with its own stream and arena.
 */
public final class Attention {
    private final int heads;
    private final int kvHeads;
    private final int headDim;
    /** What native calls read, each thread's own. */
    private final ThreadLocal<vbl_attention> shape;

    /** @param scale of the scores, usually 1 / sqrt(headDim) */
    public Attention(int heads, int kvHeads, int headDim, boolean causal, float scale) {
        NativeLibrary.load();
        this.heads = heads;
        this.kvHeads = kvHeads;
        this.headDim = headDim;
        this.shape = ThreadLocal.withInitial(() -> new vbl_attention().heads(heads).kv_heads(kvHeads)
                .head_dim(headDim).causal(causal ? 1 : 0).scale(scale));
    }

    /**
     * out = softmax(scale · q kᵀ + mask) v, and lse for the backward pass. Scratch comes from the arena and goes back.
     */
    public void forward(Stream stream, Arena arena, Sequences sequences, Tensor q, Tensor k, Tensor v, Tensor out,
            Tensor lse) {
        checkForward(stream, sequences, q, k, v, out, lse);
        long mark = arena.mark();
        Tensor scratch = scratch(stream, arena, sequences);
        stream.run(handle -> vbl_attention_forward(handle, placed(sequences), q.pointer(), k.pointer(), v.pointer(),
                out.pointer(), lse.pointer(), scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }

    /** dq, dk, dv from dout and what the forward pass saw and wrote. */
    public void backward(Stream stream, Arena arena, Sequences sequences, Tensor q, Tensor k, Tensor v, Tensor out,
            Tensor lse, Tensor dout, Tensor dq, Tensor dk, Tensor dv) {
        checkForward(stream, sequences, q, k, v, out, lse);
        Check.floats(stream, "dout", dout, out.elements());
        Check.floats(stream, "dq", dq, q.elements());
        Check.floats(stream, "dk", dk, k.elements());
        Check.floats(stream, "dv", dv, v.elements());
        long mark = arena.mark();
        Tensor scratch = scratch(stream, arena, sequences);
        stream.run(handle -> vbl_attention_backward(handle, placed(sequences), q.pointer(), k.pointer(), v.pointer(),
                out.pointer(), lse.pointer(), dout.pointer(), dq.pointer(), dk.pointer(), dv.pointer(),
                scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }

    private void checkForward(Stream stream, Sequences sequences, Tensor q, Tensor k, Tensor v, Tensor out,
            Tensor lse) {
        sequences.check(stream);
        long tokens = sequences.tokens();
        Check.floats(stream, "q", q, tokens * heads * headDim);
        Check.floats(stream, "k", k, tokens * kvHeads * headDim);
        Check.floats(stream, "v", v, tokens * kvHeads * headDim);
        Check.floats(stream, "out", out, tokens * heads * headDim);
        Check.floats(stream, "lse", lse, (long) sequences.size() * heads * sequences.length());
    }

    private Tensor scratch(Stream stream, Arena arena, Sequences sequences) {
        vbl_attention own = shape.get().batch(sequences.size()).length(sequences.length())
                .tokens(sequences.packed() ? sequences.tokens() : 0);
        return arena.take(DType.UINT8, stream.scratchBytes(handle -> vbl_attention_scratch_bytes(handle, own)));
    }

    /** The shape, whose sizes {@link #scratch} has set, with the sequences' memory. */
    private vbl_attention placed(Sequences sequences) {
        boolean packed = sequences.packed();
        return shape.get().lengths(packed ? null : sequences.places().pointer())
                .starts(packed ? sequences.places().pointer() : null);
    }
}
