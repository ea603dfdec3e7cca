package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.VBL_LOWRANK_MEMBERS;
import static io.vblora.kernels.global.vblora.vbl_dropout_mask;
import static io.vblora.kernels.global.vblora.vbl_lowrank_backward;
import static io.vblora.kernels.global.vblora.vbl_lowrank_forward;
import static io.vblora.kernels.global.vblora.vbl_lowrank_scratch_bytes;

import io.vblora.kernels.DType;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_lowrank;
import io.vblora.kernels.bindings.vbl_lowrank_matrices;
import io.vblora.kernels.bindings.vbl_step;
import java.util.List;
import org.bytedeco.javacpp.Pointer;

/**
 * The low-rank branches of adapted linear layers that read the same x: for each member of the group, y += scaling ·
 * (drop(x) Aᵀ) Bᵀ, with a dropout mask of its own. The y of the members are blocks of columns of one matrix y [tokens,
 * width]. Other shapes: x [tokens, in]; per member a [r, in] and bt = Bᵀ [r, out]; reduced and dreduced hold [tokens,
 * r] of each member, one after the other. x, y and their gradients have one native type, all a and bt another; on the
 * CPU both must be float32. reduced, dreduced and the gradients of a and bt are float32. The step gives dropout its
 * seed, step and micro-batch; it may be null where dropout is 0. Where a batch is passed in pieces, firstToken is the
 * place of the first token in it. Immutable: threads may share it, each with its own stream.
 */
public final class LowRank {
    /** The most members that a group can have. */
    public static final int MAX_MEMBERS = VBL_LOWRANK_MEMBERS;

    /**
     * One adapted layer.
     *
     * @param firstColumn where its columns of y begin
     * @param module key of its dropout
     */
    public record Member(long firstColumn, long outFeatures, int r, int module, float scaling) {}

    /** A member's a [r, in] and bt [r, out], or their gradients. */
    public record Factors(Tensor a, Tensor bt) {}

    private final long inFeatures;
    private final long width;
    private final List<Member> members;
    private final int totalRank;
    /** For each member, the ranks of those before it together. */
    private final int[] ranksBefore;
    /** What native calls read, each thread's own. */
    private final ThreadLocal<NativeGroup> nativeGroup;

    /**
     * @param width columns of y, of which members need not have all
     * @param dropout probability in [0, 1)
     * @param members 1 to {@link #MAX_MEMBERS}, which share no column
     */
    public LowRank(long inFeatures, long width, float dropout, List<Member> members) {
        NativeLibrary.load();
        if (members.isEmpty() || members.size() > MAX_MEMBERS) {
            throw new IllegalArgumentException("members: found " + members.size() + "; expected 1 to " + MAX_MEMBERS);
        }
        for (Member member : members) {
            if (member.firstColumn() < 0 || member.firstColumn() > width - member.outFeatures()) {
                throw new IllegalArgumentException("members: found " + member + "; expected columns of the " + width
                        + " that y has");
            }
        }
        this.inFeatures = inFeatures;
        this.width = width;
        this.members = List.copyOf(members);
        this.ranksBefore = new int[members.size()];
        int ranks = 0;
        for (int m = 0; m < members.size(); m++) {
            ranksBefore[m] = ranks;
            ranks += members.get(m).r();
        }
        this.totalRank = ranks;
        List<Member> all = this.members;
        this.nativeGroup = ThreadLocal.withInitial(() -> new NativeGroup(inFeatures, width, dropout, all));
    }

    /** A group of one layer. */
    public static LowRank ofLayer(long inFeatures, long outFeatures, int r, int module, float dropout, float scaling) {
        return new LowRank(inFeatures, outFeatures, dropout,
                List.of(new Member(0, outFeatures, r, module, scaling)));
    }

    public List<Member> members() {
        return members;
    }

    /** The members' ranks together: columns that reduced and dreduced have per token. */
    public int totalRank() {
        return totalRank;
    }

    /** reduced = drop(x) Aᵀ, and y += scaling · reduced Bᵀ, of each member. */
    public void forward(Stream stream, StepState step, long firstToken, long tokens, Tensor x, List<Factors> factors,
            Tensor reduced, Tensor y) {
        Check.nativeFloat(stream, "x", x, tokens * inFeatures);
        DType factorDtype = checkFactors(stream, factors);
        Check.floats(stream, "reduced", reduced, tokens * totalRank);
        Check.elements(stream, "y", y, x.dtype(), tokens * width);
        stream.run(handle -> {
            NativeGroup group = nativeGroup(tokens, factors, reduced);
            for (int m = 0; m < members.size(); m++) {
                group.matrices[m].y(at(y, members.get(m).firstColumn()));
            }
            return vbl_lowrank_forward(handle, group.shape(firstToken, tokens, x.dtype(), factorDtype),
                    handle(stream, step), x.pointer(), group.matrices[0]);
        });
    }

    /** Scratch bytes of {@link #backward} for x of a type and factors of another; 0 on the CPU. */
    public long backwardScratchBytes(Stream stream, long tokens, DType dtype, DType factorDtype) {
        return stream.scratchBytes(handle -> vbl_lowrank_scratch_bytes(handle,
                nativeGroup.get().shape(0, tokens, dtype, factorDtype)));
    }

    /**
     * The gradients of each member: dreduced = scaling · dy B, da += dreducedᵀ drop(x), dbt += scaling · reducedᵀ dy,
     * and, unless dx is null, dx += mask ⊙ (dreduced A). reduced is what {@link #forward} wrote.
     *
     * @param gradients da and dbt
     */
    public void backward(Stream stream, StepState step, long firstToken, long tokens, Tensor x, Tensor dy,
            List<Factors> factors, Tensor reduced, Tensor dreduced, Tensor dx, List<Factors> gradients,
            Tensor scratch) {
        Check.nativeFloat(stream, "x", x, tokens * inFeatures);
        Check.elements(stream, "dy", dy, x.dtype(), tokens * width);
        DType factorDtype = checkFactors(stream, factors);
        Check.floats(stream, "reduced", reduced, tokens * totalRank);
        Check.floats(stream, "dreduced", dreduced, tokens * totalRank);
        checkCount("gradients", gradients);
        for (int m = 0; m < members.size(); m++) {
            Member member = members.get(m);
            Check.floats(stream, "da", gradients.get(m).a(), member.r() * inFeatures);
            Check.floats(stream, "dbt", gradients.get(m).bt(), member.r() * member.outFeatures());
        }
        if (dx != null) {
            Check.elements(stream, "dx", dx, x.dtype(), tokens * inFeatures);
        }
        Check.scratch(stream, scratch, backwardScratchBytes(stream, tokens, x.dtype(), factorDtype));
        stream.run(handle -> {
            NativeGroup group = nativeGroup(tokens, factors, reduced);
            for (int m = 0; m < members.size(); m++) {
                group.matrices[m].dy(at(dy, members.get(m).firstColumn()))
                        .dreduced(at(dreduced, tokens * ranksBefore[m]))
                        .da(gradients.get(m).a().pointer()).dbt(gradients.get(m).bt().pointer());
            }
            return vbl_lowrank_backward(handle, group.shape(firstToken, tokens, x.dtype(), factorDtype),
                    handle(stream, step), x.pointer(), group.matrices[0], dx == null ? null : dx.pointer(),
                    scratch.pointer(), scratch.bytes());
        });
    }

    /** The dropout mask of a member, 0 or 1 / (1 - dropout): mask [tokens, in]. */
    public void dropoutMask(Stream stream, StepState step, int member, long firstToken, long tokens, Tensor mask) {
        Check.floats(stream, "mask", mask, tokens * inFeatures);
        stream.run(handle -> vbl_dropout_mask(handle,
                nativeGroup.get().shape(firstToken, tokens, DType.FLOAT32, DType.FLOAT32), member,
                handle(stream, step), mask.pointer()));
    }

    /** This thread's copy of the group, with the members' matrices that both passes use: the factors and reduced. */
    private NativeGroup nativeGroup(long tokens, List<Factors> factors, Tensor reduced) {
        NativeGroup group = nativeGroup.get();
        for (int m = 0; m < members.size(); m++) {
            group.matrices[m].a(factors.get(m).a().pointer()).bt(factors.get(m).bt().pointer())
                    .reduced(at(reduced, tokens * ranksBefore[m]));
        }
        return group;
    }

    /** Returns the type of all factors. */
    private DType checkFactors(Stream stream, List<Factors> factors) {
        checkCount("factors", factors);
        DType dtype = factors.get(0).a().dtype();
        for (int m = 0; m < members.size(); m++) {
            Member member = members.get(m);
            Factors of = factors.get(m);
            Check.nativeFloat(stream, "a", of.a(), member.r() * inFeatures);
            Check.elements(stream, "a", of.a(), dtype, member.r() * inFeatures);
            Check.elements(stream, "bt", of.bt(), dtype, member.r() * member.outFeatures());
        }
        return dtype;
    }

    private void checkCount(String name, List<Factors> factors) {
        if (factors.size() != members.size()) {
            throw new IllegalArgumentException(name + ": found " + factors.size() + "; expected those of "
                    + members.size() + " members");
        }
    }

    private static Pointer at(Tensor tensor, long element) {
        return element == 0 ? tensor.pointer() : tensor.view(element, tensor.elements() - element).pointer();
    }

    private static vbl_step handle(Stream stream, StepState step) {
        return step == null ? null : step.microBatchHandle(stream);
    }

    /** A thread's copy of the group as native code reads it, with room for the members' matrices. */
    private static final class NativeGroup {
        private final vbl_lowrank shape;
        /** Elements of one native array. */
        private final vbl_lowrank_matrices[] matrices;

        private NativeGroup(long inFeatures, long width, float dropout, List<Member> members) {
            this.shape = new vbl_lowrank();
            this.matrices = new vbl_lowrank_matrices[members.size()];
            Pointer.memset(shape, 0, shape.sizeof());
            shape.in_features(inFeatures).dropout(dropout).members(members.size());
            matrices[0] = new vbl_lowrank_matrices(members.size());
            Pointer.memset(matrices[0], 0, (long) matrices[0].sizeof() * members.size());
            for (int m = 0; m < members.size(); m++) {
                Member member = members.get(m);
                shape.member(m).out_features(member.outFeatures()).ldy(width).r(member.r()).module(member.module())
                        .scaling(member.scaling());
                matrices[m] = matrices[0].getPointer(m);
            }
        }

        private vbl_lowrank shape(long firstToken, long tokens, DType dtype, DType factorDtype) {
            return shape.first_token(firstToken).tokens(tokens).dtype(dtype.nativeCode())
                    .factor_dtype(factorDtype.nativeCode());
        }
    }
}
