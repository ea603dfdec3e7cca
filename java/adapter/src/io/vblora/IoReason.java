package io.vblora;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Why a file could not be read or written, in words for a message that already names the file. */
public final class IoReason {
    /** The system's words, which follow the file's name in parentheses. */
    private static final Pattern OF_FILE_NOT_FOUND = Pattern.compile(".* \\(([^()]+)\\)", Pattern.DOTALL);

    private IoReason() {}

    /**
     * The reason, such as "permission denied" or the system's own words, without the file's name and Java's class
     * names.
     */
    public static String of(IOException e) {
        if (e instanceof NoSuchFileException) {
            return "no such file or folder";
        }
        if (e instanceof AccessDeniedException) {
            return "permission denied";
        }
        if (e instanceof FileAlreadyExistsException) {
            return "it exists already";
        }
        if (e instanceof NotDirectoryException) {
            return "not a folder";
        }
        if (e instanceof DirectoryNotEmptyException) {
            return "the folder is not empty";
        }
        if (e instanceof FileSystemException f && f.getReason() != null) {
            return f.getReason();
        }
        if (e instanceof FileNotFoundException && e.getMessage() != null) {
            Matcher words = OF_FILE_NOT_FOUND.matcher(e.getMessage());
            return words.matches() ? words.group(1) : e.getMessage();
        }
        return e instanceof FileSystemException || e.getMessage() == null ? e.getClass().getSimpleName()
                : e.getMessage();
    }
}
