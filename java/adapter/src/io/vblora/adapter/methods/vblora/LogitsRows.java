package io.vblora.adapter.methods.vblora;

import io.vblora.InputException;
import io.vblora.adapter.ModuleShape;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.ParameterLayout;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;

/**
 * Says to which modules the rows of the matrix of all logits belong, in PEFT's order: for each module A's rows
 * [r, in / vector_length], then B's [out / vector_length, r]. Matrices that have indices, weights or gradients in these
 * rows are ordered in the same way.
 *
 * @param blocks two for each module, that of A and that of B
 */
record LogitsRows(List<Block> blocks) {
    LogitsRows {
        blocks = List.copyOf(blocks);
    }

    /** The rows that belong to one matrix, under PEFT's name and with PEFT's leading dimensions. */
    record Block(String name, long firstRow, long dimension0, long dimension1) {
        long rows() {
            return dimension0 * dimension1;
        }

        /** PEFT's shape of a tensor that has this many numbers per row. */
        long[] shape(long columns) {
            return new long[] {dimension0, dimension1, columns};
        }

        List<Long> shapeList(long columns) {
            return List.of(dimension0, dimension1, columns);
        }

        /** A view of this block's rows in a matrix with this many columns, in PEFT's shape. */
        Tensor view(Tensor matrix, long columns) {
            return matrix.view(firstRow * columns, shape(columns));
        }
    }

    /** @throws InputException if vector_length does not divide a dimension */
    static LogitsRows of(VbLoraConfig config, List<ModuleShape> modules) {
        List<Block> blocks = new ArrayList<>();
        long row = 0;
        for (ModuleShape module : modules) {
            long columnsA = divide(config, modules, module, "in_features", module.inFeatures());
            long columnsB = divide(config, modules, module, "out_features", module.outFeatures());
            blocks.add(new Block(VbLoraKeys.logitsA(module.path()), row, config.r(), columnsA));
            row += config.r() * columnsA;
            blocks.add(new Block(VbLoraKeys.logitsB(module.path()), row, columnsB, config.r()));
            row += config.r() * columnsB;
        }
        return new LogitsRows(blocks);
    }

    private static long divide(VbLoraConfig config, List<ModuleShape> modules, ModuleShape module, String dimension,
            long size) {
        if (size % config.vectorLength() != 0) {
            BigInteger common = modules.stream()
                    .flatMapToLong(m -> LongStream.of(m.inFeatures(), m.outFeatures()))
                    .mapToObj(BigInteger::valueOf).reduce(BigInteger.ZERO, BigInteger::gcd);
            throw new InputException(config.source(), "vector_length",
                    config.vectorLength() + ", which does not divide " + dimension + " " + size + " of "
                            + module.path(), "a divisor of every adapted dimension, that is of " + common);
        }
        return size / config.vectorLength();
    }

    /** The number of all rows. */
    long count() {
        Block last = blocks.get(blocks.size() - 1);
        return last.firstRow + last.rows();
    }

    /** The block that a row belongs to. */
    Block of(long row) {
        return blocks.stream().filter(block -> row < block.firstRow + block.rows()).findFirst().orElseThrow();
    }

    /** The layout of a matrix with this many columns, under PEFT's names. */
    ParameterLayout layout(long columns) {
        ParameterLayout.Builder layout = ParameterLayout.builder();
        blocks.forEach(block -> layout.add(block.name, block.shape(columns)));
        return layout.build();
    }

    /**
     * The place of each row in the packed buffer, counted in sub-vectors. The rows of A lie there in order, and row (t,
     * i) of B becomes sub-vector t of row i of the transpose.
     */
    int[] slots() {
        int[] slot = new int[Math.toIntExact(count())];
        for (int index = 0; index < blocks.size(); index++) {
            Block block = blocks.get(index);
            int first = (int) block.firstRow;
            for (int row = 0; row < block.rows(); row++) {
                int i = row / (int) block.dimension1;
                int j = row % (int) block.dimension1;
                slot[first + row] = first + (index % 2 == 0 ? row : j * (int) block.dimension0 + i);
            }
        }
        return slot;
    }
}
