package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.vbl_file_close;
import static io.vblora.kernels.global.vblora.vbl_file_open;
import static io.vblora.kernels.global.vblora.vbl_file_read;
import static io.vblora.kernels.global.vblora.vbl_file_size;

import io.vblora.kernels.bindings.vbl_file;
import java.nio.file.Path;
import org.bytedeco.javacpp.Pointer;

/**
 * A file that is read at given offsets straight into native memory. Files larger than 2 GiB need no special case, and a
 * file that is truncated while it is open causes an exception. Reads may run concurrently.
 */
public final class NativeFile implements AutoCloseable {
    private final vbl_file handle = open();
    private final long size;
    private boolean closed;

    /**
     * Opens a regular file.
     *
     * @throws KernelException if it cannot be opened
     */
    public NativeFile(Path path) {
        KernelException.check(vbl_file_open(path.toString(), handle));
        this.size = vbl_file_size(handle);
    }

    private static vbl_file open() {
        NativeLibrary.load();
        return new vbl_file();
    }

    /** Size in bytes when the file was opened. */
    public long size() {
        return size;
    }

    /**
     * Reads {@code bytes} bytes at {@code offset} to {@code destination}.
     *
     * @throws KernelException if the file ends before that, or cannot be read
     */
    public void read(long offset, Pointer destination, long bytes) {
        if (closed) {
            throw new IllegalStateException("The file is closed");
        }
        KernelException.check(vbl_file_read(handle, offset, destination, bytes));
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            KernelException.check(vbl_file_close(handle));
        }
    }
}
