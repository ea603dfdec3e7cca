/**
 * What can be said of a regular expression without matching it: whether an engine that backtracks needs a number of
 * steps that is linear in the length of the text.
 */
package io.vblora.regex;
