package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * Linear layers that read the same input, such as the projections to queries, keys and values. They are computed in one
 * pass over it; each keeps its name, its shape and its update.
 */
public final class LinearGroup {
    private final List<Linear> members;

    public LinearGroup(Linear... members) {
        this.members = List.of(members);
    }

    /**
     * What a forward pass read and wrote, for its backward pass; tensors of the arena.
     *
     * @param x [tokens, in]
     * @param outputs of each member [tokens, out]
     * @param p what each member keeps beside x, null without an update
     */
    public record Output(Tensor x, List<Tensor> outputs, List<Tensor> p) {
        /** The output of a member [tokens, out]. */
        public Tensor of(int member) {
            return outputs.get(member);
        }
    }

    /** The outputs of all members for x [tokens, in], the batch's tokens. */
    public Output forward(Pass pass, long tokens, Tensor x) {
        List<Tensor> outputs = take(pass.arena(), tokens);
        List<Tensor> p = new ArrayList<>(members.size());
        for (int i = 0; i < members.size(); i++) {
            p.add(members.get(i).takeP(pass.arena(), tokens));
            members.get(i).forward(pass, 0, tokens, x, p.get(i), outputs.get(i), false);
        }
        return new Output(x, outputs, p);
    }

    /** Takes a tensor of the size of each member's output, [tokens, out]. */
    public List<Tensor> take(Arena arena, long tokens) {
        List<Tensor> taken = new ArrayList<>(members.size());
        for (Linear member : members) {
            taken.add(arena.floats(tokens, member.outFeatures()));
        }
        return taken;
    }

    /**
     * dx [tokens, in] = (or +=) the gradient of x, unless dx is null, and the gradients of what is trained added to the
     * adapter's.
     *
     * @param doutputs the gradients of the outputs
     */
    public void backward(Pass pass, long tokens, Output output, List<Tensor> doutputs, Tensor dx, boolean accumulate) {
        for (int i = 0; i < members.size(); i++) {
            members.get(i).backward(pass, 0, tokens, output.x, doutputs.get(i), output.p.get(i), dx,
                    accumulate || i > 0);
        }
    }
}
