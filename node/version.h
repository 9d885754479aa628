/* node/version.h - what the node calls itself. */
#ifndef SGN_NODE_VERSION_H
#define SGN_NODE_VERSION_H

#define SGN_NODE_VERSION "0.1.0"

#endif
