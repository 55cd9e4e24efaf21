"""Imports what it does not use."""
import os
