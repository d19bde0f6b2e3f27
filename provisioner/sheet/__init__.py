"""The credentials sheet, in each form from one model: forms.Sheet."""
