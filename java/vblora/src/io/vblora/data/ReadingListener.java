package io.vblora.data;

/**
 * Is told how far the reading of a file of examples has got. Several threads tokenize rows, and all of them call it.
 */
public interface ReadingListener {
    /** Ignores everything. */
    ReadingListener NONE = new ReadingListener() {
        @Override
        public void onBytes(long read) {}

        @Override
        public void onRows(long tokenized, long rows) {}
    };

    /** This many bytes of the file have been read. */
    void onBytes(long read);

    /** The whole file has been read, and this many of its rows are tokenized; calls may come out of order. */
    void onRows(long tokenized, long rows);
}
