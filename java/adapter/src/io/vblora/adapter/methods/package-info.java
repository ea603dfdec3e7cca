/** The methods of adaptation that come with this library, each in a package of its own. */
package io.vblora.adapter.methods;
