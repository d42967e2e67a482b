"""The experiments of the paper on RCL (De Alvis et al., arXiv 2312.01753), as data."""
