// Package proof checks what a transparency log says about itself: that a checkpoint was signed by the log, that witnesses
// saw it, that a leaf is in the tree, and that one tree extends another. It is given everything it reads, the time included,
// so that whoever holds a receipt can check it offline, in a program of their own.
//
// It follows signed-note, tlog-checkpoint and tlog-cosignature of C2SP (https://c2sp.org), and the Merkle tree of RFC 6962.
package proof
