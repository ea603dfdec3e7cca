package io.vblora.data;

import io.vblora.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The characters of a UTF-8 file, a byte order mark skipped. Bytes that are not UTF-8 give an {@link InputException}
 * that names file and line, once everything before them has been read. Lines end in LF.
 */
final class Utf8Reader extends Reader {
    private static final int BUFFER = 1 << 14;
    private static final char BYTE_ORDER_MARK = '\uFEFF';

    private final Path file;
    private final InputStream in;
    private final CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    private final ByteBuffer bytes = ByteBuffer.allocate(BUFFER).flip();
    private final CharBuffer chars = CharBuffer.allocate(BUFFER).flip();
    private boolean started;
    private boolean ended;
    private long lineEnds;

    /** Opens a file, which is refused if it is not a regular file; {@code expected} says what it should hold. */
    Utf8Reader(Path file, String expected) {
        if (!Files.isRegularFile(file)) {
            throw new InputException(file, "", Files.isDirectory(file) ? "a folder"
                    : Files.exists(file) ? "not a regular file" : "no such file", expected);
        }
        this.file = file;
        try {
            in = Files.newInputStream(file);
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    @Override
    public int read(char[] target, int offset, int length) {
        if (!fill()) {
            return -1;
        }
        int n = Math.min(length, chars.remaining());
        chars.get(target, offset, n);
        for (int i = offset; i < offset + n; i++) {
            lineEnds += target[i] == '\n' ? 1 : 0;
        }
        return n;
    }

    /** The rest of the line without its end, LF or CRLF; null at the end of the file. */
    String readLine() {
        if (!fill()) {
            return null;
        }
        StringBuilder line = new StringBuilder();
        do {
            int from = chars.position();
            int to = from;
            while (to < chars.limit() && chars.get(to) != '\n') {
                to++;
            }
            line.append(chars.array(), from, to - from);
            if (to < chars.limit()) {
                chars.position(to + 1);
                lineEnds++;
                break;
            }
            chars.position(to);
        } while (fill());
        int end = line.length();
        return line.substring(0, end > 0 && line.charAt(end - 1) == '\r' ? end - 1 : end);
    }

    /** Line ends read so far. */
    long lineEnds() {
        return lineEnds;
    }

    /** Sees to it that there are characters to read; false at the end of the file. */
    private boolean fill() {
        while (!chars.hasRemaining() && !ended) {
            decode();
            if (!started && chars.hasRemaining()) {
                started = true;
                chars.position(chars.get(0) == BYTE_ORDER_MARK ? 1 : 0);
            }
        }
        return chars.hasRemaining();
    }

    private void decode() {
        boolean last;
        try {
            bytes.compact();
            int n = in.read(bytes.array(), bytes.position(), bytes.remaining());
            last = n < 0;
            bytes.position(bytes.position() + Math.max(0, n)).flip();
        } catch (IOException e) {
            throw unreadable(e);
        }
        chars.clear();
        CoderResult result = decoder.decode(bytes, chars, last);
        chars.flip();
        if (!chars.hasRemaining() && result.isError()) {
            throw new InputException(file + ", line " + (lineEnds + 1), "", "bytes that are not UTF-8", "UTF-8");
        }
        ended = last && !result.isOverflow() && !result.isError();
    }

    private UncheckedIOException unreadable(IOException e) {
        return new UncheckedIOException(file + " could not be read: " + e.getMessage(), e);
    }

    @Override
    public void close() {
        try {
            in.close();
        } catch (IOException e) {
            throw unreadable(e);
        }
    }
}
