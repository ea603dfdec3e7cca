package io.vblora.model;

import io.vblora.adapter.AdaptedModule;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.LowRank;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The low-rank updates that an adapter has of one or more members of a group. */
final class GroupUpdate {
    private final List<AdaptedModule> modules;
    private final List<LowRank.Factors> factors;
    private final LowRank training;
    private final LowRank evaluation;

    private GroupUpdate(LinearGroup group, List<AdaptedModule> modules, List<LowRank.Member> members) {
        float dropout = modules.get(0).dropout();
        if (modules.stream().anyMatch(module -> module.dropout() != dropout)) {
            throw new IllegalArgumentException("Layers that read the same input have one probability of dropout, found "
                    + modules.stream().map(module -> module.path() + " " + module.dropout()).toList());
        }
        this.modules = List.copyOf(modules);
        this.factors = modules.stream().map(module -> new LowRank.Factors(module.a(), module.bt())).toList();
        this.training = new LowRank(group.inFeatures(), group.width(), dropout, members);
        this.evaluation = new LowRank(group.inFeatures(), group.width(), 0, members);
    }

    /** Empty if the adapter updates none of the members. */
    static Optional<GroupUpdate> of(AttachedAdapter adapter, LinearGroup group) {
        List<AdaptedModule> modules = new ArrayList<>();
        List<LowRank.Member> members = new ArrayList<>();
        for (int i = 0; i < group.members().size(); i++) {
            AdaptedModule module = adapter.module(group.members().get(i));
            if (module != null) {
                modules.add(module);
                members.add(new LowRank.Member(group.firstColumn(i), module.outFeatures(), module.r(), module.index(),
                        module.scaling()));
            }
        }
        return modules.isEmpty() ? Optional.empty() : Optional.of(new GroupUpdate(group, modules, members));
    }

    /** The ranks of all updates together. */
    int ranks() {
        return training.totalRank();
    }

    /** Whether training draws dropout. */
    boolean drawsDropout() {
        return modules.get(0).dropout() > 0;
    }

    /** Place of the first row among all of the batch, which decides the dropout that is drawn. */
    private long place(Pass pass, Rows rows) {
        if (rows.isConsecutive()) {
            return rows.first();
        }
        if (pass.isTraining() && drawsDropout()) {
            throw new IllegalArgumentException("Dropout is drawn by the places of rows, and chosen rows have none");
        }
        return 0;
    }

    private LowRank branches(Pass pass) {
        return pass.isTraining() ? training : evaluation;
    }

    /**
     * Adds the updates of a run to the outputs, and leaves in reduced what the backward pass reads.
     *
     * @param x [rows, in]
     * @param reduced of {@link LinearGroup#takeReduced}
     * @param outputs of the whole group
     */
    void forward(Pass pass, Rows rows, Rows.Run run, Tensor x, Tensor reduced, Tensor outputs) {
        branches(pass).forward(pass.stream(), pass.step(), place(pass, rows) + run.first(), run.count(), run.of(x),
                factors, reduced.view(run.first() * reduced.dimension(1), run.count() * ranks()), run.of(outputs));
    }

    /**
     * Adds the gradients of the updates to the adapter's, and that of x to dx [rows, in] unless dx is null.
     *
     * @param rows all of a training pass, or a part of them
     * @param reduced what {@link #forward} left
     * @param doutputs the gradients of the outputs
     */
    void backward(Pass pass, Rows rows, Tensor x, Tensor reduced, Tensor doutputs, Tensor dx) {
        Arena arena = pass.arena();
        long mark = arena.mark();
        LowRank branches = branches(pass);
        Tensor dreduced = arena.floats(rows.count(), ranks());
        Tensor scratch = arena.take(DType.UINT8, branches.backwardScratchBytes(pass.stream(), rows.count(), x.dtype(),
                factors.get(0).a().dtype()));
        List<LowRank.Factors> gradients = new ArrayList<>(modules.size());
        for (AdaptedModule module : modules) {
            gradients.add(new LowRank.Factors(module.da(), module.dbt()));
        }
        branches.backward(pass.stream(), pass.step(), place(pass, rows), rows.count(), x, doutputs, factors, reduced,
                dreduced, dx, gradients, scratch);
        arena.release(mark);
    }
}
