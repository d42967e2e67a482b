// The confusion matrix.
