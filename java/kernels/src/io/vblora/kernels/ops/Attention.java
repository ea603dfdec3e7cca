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
 * Scaled dot-product attention with grouped key/value heads and padding at the end of sequences. Shapes: q, out [batch
 * · length, heads · headDim], k, v [batch · length, kvHeads · headDim], lse [batch, heads, length], lengths [batch]
 * (int32, tokens that are not padding); otherwise float32.
 */
public final class Attention {
    private final int heads;
    private final int kvHeads;
    private final int headDim;
    private final vbl_attention shape;

    /** @param scale of the scores, usually 1 / sqrt(headDim) */
    public Attention(int heads, int kvHeads, int headDim, boolean causal, float scale) {
        NativeLibrary.load();
        this.heads = heads;
        this.kvHeads = kvHeads;
        this.headDim = headDim;
        this.shape = new vbl_attention();
        shape.heads(heads).kv_heads(kvHeads).head_dim(headDim).causal(causal ? 1 : 0).scale(scale);
    }

    /**
     * out = softmax(scale · q kᵀ + mask) v, and lse for the backward pass. Scratch comes from the arena and goes back.
     */
    public void forward(Stream stream, Arena arena, int batch, int length, Tensor lengths, Tensor q, Tensor k, Tensor v,
            Tensor out, Tensor lse) {
        checkForward(stream, batch, length, lengths, q, k, v, out, lse);
        long mark = arena.mark();
        Tensor scratch = scratch(stream, arena, batch, length);
        stream.run(handle -> vbl_attention_forward(handle, shape.lengths(lengths.pointer()), q.pointer(), k.pointer(),
                v.pointer(), out.pointer(), lse.pointer(), scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }

    /** dq, dk, dv from dout and what the forward pass saw and wrote. */
    public void backward(Stream stream, Arena arena, int batch, int length, Tensor lengths, Tensor q, Tensor k,
            Tensor v, Tensor out, Tensor lse, Tensor dout, Tensor dq, Tensor dk, Tensor dv) {
        checkForward(stream, batch, length, lengths, q, k, v, out, lse);
        Check.floats(stream, "dout", dout, out.elements());
        Check.floats(stream, "dq", dq, q.elements());
        Check.floats(stream, "dk", dk, k.elements());
        Check.floats(stream, "dv", dv, v.elements());
        long mark = arena.mark();
        Tensor scratch = scratch(stream, arena, batch, length);
        stream.run(handle -> vbl_attention_backward(handle, shape.lengths(lengths.pointer()), q.pointer(), k.pointer(),
                v.pointer(), out.pointer(), lse.pointer(), dout.pointer(), dq.pointer(), dk.pointer(), dv.pointer(),
                scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }

    private void checkForward(Stream stream, int batch, int length, Tensor lengths, Tensor q, Tensor k, Tensor v,
            Tensor out, Tensor lse) {
        long tokens = (long) batch * length;
        Check.ints(stream, "lengths", lengths, batch);
        Check.floats(stream, "q", q, tokens * heads * headDim);
        Check.floats(stream, "k", k, tokens * kvHeads * headDim);
        Check.floats(stream, "v", v, tokens * kvHeads * headDim);
        Check.floats(stream, "out", out, tokens * heads * headDim);
        Check.floats(stream, "lse", lse, tokens * heads);
    }

    private Tensor scratch(Stream stream, Arena arena, int batch, int length) {
        shape.batch(batch).length(length);
        return arena.take(DType.UINT8, stream.query(handle -> vbl_attention_scratch_bytes(handle, shape)));
    }
}
