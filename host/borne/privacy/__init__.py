"""The proof: attacks on the real firmware, an auditor of captured frames, the documents that follow from the policy."""
