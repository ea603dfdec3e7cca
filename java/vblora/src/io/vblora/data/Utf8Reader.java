package io.vblora.data;

import io.vblora.InputException;
import io.vblora.IoReason;
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
import java.util.Locale;

/**
 * Reads the characters of a UTF-8 file without its byte order mark. The file is read once, from its beginning to its
 * end, so it may be a pipe. Bytes that are not UTF-8 cause an {@link InputException} that names file and line, once
 * everything before them has been read. Lines end in LF, CRLF or CR.
 */
final class Utf8Reader extends Reader {
    /**
     * The most characters of a line, or of a row over several lines: more than texts have, and small enough for memory.
     */
    static final int LONGEST_LINE = 1 << 24;

    private static final int BUFFER = 1 << 14;
    private static final char BYTE_ORDER_MARK = '\uFEFF';

    private final Path file;
    private final InputStream in;
    private final ReadingListener listener;
    private long bytesRead;
    private final CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    private final ByteBuffer bytes = ByteBuffer.allocate(BUFFER).flip();
    private final CharBuffer chars = CharBuffer.allocate(BUFFER).flip();
    private boolean started;
    private boolean ended;
    private boolean afterCarriageReturn;
    private long lineEnds;
    /** Where the row that is being read began, and how many of its characters have been read. */
    private long row = 1;
    private long charactersOfRow;
    /** Unlimited unless the caller says where rows begin. */
    private long longestRow = Long.MAX_VALUE;

    /**
     * Opens a file. A folder, or one that does not exist, is refused.
     *
     * @param expected what it should hold
     * @param listener is told of the bytes
     */
    Utf8Reader(Path file, String expected, ReadingListener listener) {
        if (Files.isDirectory(file) || !Files.exists(file)) {
            throw new InputException(file, "", Files.isDirectory(file) ? "a folder" : "no such file", expected);
        }
        this.file = file;
        this.listener = listener;
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
        charactersOfRow += n;
        if (charactersOfRow > longestRow) {
            throw tooLong(row, "row");
        }
        chars.get(target, offset, n);
        for (int i = offset; i < offset + n; i++) {
            countLineEnd(target[i]);
        }
        return n;
    }

    /** The rest of the line without its line end; null at the end of the file. */
    String readLine() {
        // A line feed after a carriage return is skipped only now: a pipe may not have it yet.
        if (afterCarriageReturn && fill() && chars.get(chars.position()) == '\n') {
            chars.get();
        }
        afterCarriageReturn = false;
        if (!fill()) {
            return null;
        }
        char[] buffer = chars.array();
        StringBuilder line = new StringBuilder();
        do {
            int from = chars.position();
            int to = from;
            while (to < chars.limit() && buffer[to] != '\n' && buffer[to] != '\r') {
                to++;
            }
            line.append(buffer, from, to - from);
            if (line.length() > LONGEST_LINE) {
                throw tooLong(lineEnds + 1, "line");
            }
            chars.position(to);
            if (chars.hasRemaining()) {
                countLineEnd(chars.get());
                break;
            }
        } while (fill());
        return line.toString();
    }

    /**
     * Tells the reader that a row begins here: {@link #read(char[], int, int)} then refuses to give more of it than a
     * line may have.
     */
    void beginRow(long line) {
        longestRow = LONGEST_LINE;
        row = line;
        charactersOfRow = 0;
    }

    private InputException tooLong(long line, String what) {
        return new InputException(file + ", line " + line, "", String.format(Locale.ROOT,
                "a %s of more than %,d characters", what, LONGEST_LINE), "a shorter one");
    }

    /**
     * Skips white space, including line ends, and returns the character after it without skipping that, or -1 at the
     * end.
     */
    int skipBlank() {
        while (fill()) {
            char c = chars.get(chars.position());
            if (!Character.isWhitespace(c)) {
                return c;
            }
            countLineEnd(chars.get());
        }
        return -1;
    }

    private void countLineEnd(char read) {
        lineEnds += read == '\r' || read == '\n' && !afterCarriageReturn ? 1 : 0;
        afterCarriageReturn = read == '\r';
    }

    /** Number of line ends read so far. */
    long lineEnds() {
        return lineEnds;
    }

    /** Makes sure that there are characters to read; false at the end of the file. */
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
            bytesRead += Math.max(0, n);
        } catch (IOException e) {
            throw unreadable(e);
        }
        listener.onBytes(bytesRead);
        chars.clear();
        CoderResult result = decoder.decode(bytes, chars, last);
        chars.flip();
        if (!chars.hasRemaining() && result.isError()) {
            throw new InputException(file + ", line " + (lineEnds + 1), "", "bytes that are not UTF-8", "UTF-8");
        }
        ended = last && !result.isOverflow() && !result.isError();
    }

    private UncheckedIOException unreadable(IOException e) {
        return new UncheckedIOException(file + " could not be read: " + IoReason.of(e), e);
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
