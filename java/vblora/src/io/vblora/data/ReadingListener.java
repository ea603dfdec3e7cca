package io.vblora.data;

/** Is told how far the reading of a file of examples is. Rows are tokenized by several threads, which all call it. */
public interface ReadingListener {
    /** Lets it pass. */
    ReadingListener NONE = new ReadingListener() {
        @Override
        public void onBytes(long read) {}

        @Override
        public void onRows(long tokenized, long rows) {}
    };

    /** So many bytes of the file have been read. */
    void onBytes(long read);

    /** The file has been read, and of its rows so many are tokenized; not always told in order. */
    void onRows(long tokenized, long rows);
}
