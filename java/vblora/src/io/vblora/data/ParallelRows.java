package io.vblora.data;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.stream.IntStream;

/** Works on rows with all processors; the outcome does not depend on how many there are. */
final class ParallelRows {
    /** With fewer rows than this, handing them to other threads costs more than it saves. */
    private static final int FEW = 64;

    private ParallelRows() {}

    /**
     * The results in the order of the rows. If rows fail, the exception of the first of them is thrown.
     *
     * @param listener is told of each row that is done
     */
    @SuppressWarnings("unchecked")
    static <T, R> List<R> map(List<T> rows, Function<T, R> function, ReadingListener listener) {
        AtomicLong done = new AtomicLong();
        IntStream indices = IntStream.range(0, rows.size());
        Object[] results = (rows.size() < FEW ? indices : indices.parallel()).mapToObj(i -> {
            try {
                return function.apply(rows.get(i));
            } catch (RuntimeException e) {
                return e;
            } finally {
                listener.onRows(done.incrementAndGet(), rows.size());
            }
        }).toArray();
        for (Object result : results) {
            if (result instanceof RuntimeException e) {
                throw e;
            }
        }
        return (List<R>) Arrays.asList(results);
    }
}
