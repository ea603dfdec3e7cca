package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.vbl_graph_begin;
import static io.vblora.kernels.global.vblora.vbl_graph_destroy;
import static io.vblora.kernels.global.vblora.vbl_graph_end;
import static io.vblora.kernels.global.vblora.vbl_graph_launch;

import io.vblora.kernels.bindings.vbl_graph;

/**
 * Ops on a CUDA stream that are captured once and launched as a whole, at the cost of one launch. They run with the
 * memory that they were captured with; what changes between launches is read from device memory ({@link
 * io.vblora.kernels.ops.StepState}, {@link io.vblora.kernels.ops.AdamWGroups}). Used by one thread at a time.
 */
public final class Graph implements AutoCloseable {
    private final vbl_graph handle = new vbl_graph();
    private boolean closed;

    private Graph() {}

    /**
     * Captures what {@code ops} gives to the stream; none of it runs. Meanwhile, ops may not wait for the stream or
     * allocate device memory.
     *
     * @throws KernelException if the stream is the CPU's, or an op cannot be captured
     */
    public static Graph capture(Stream stream, Runnable ops) {
        Graph graph = new Graph();
        stream.run(real -> vbl_graph_begin(real));
        try {
            ops.run();
        } catch (RuntimeException | Error e) {
            try {
                stream.run(real -> vbl_graph_end(real, graph.handle));
                graph.close();
            } catch (KernelException ended) {
                e.addSuppressed(ended);
            }
            throw e;
        }
        stream.run(real -> vbl_graph_end(real, graph.handle));
        return graph;
    }

    /** Runs the captured ops in a stream of the same device. */
    public void launch(Stream stream) {
        if (closed) {
            throw new IllegalStateException("The graph is closed");
        }
        stream.run(real -> vbl_graph_launch(real, handle));
    }

    /** Frees the graph, whose launches must be done. Calling it again does nothing. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            KernelException.check(vbl_graph_destroy(handle));
        }
    }
}
